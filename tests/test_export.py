"""The export command: every network family, the published model, batches, and errors."""

import logging
import os
import re
import sys

import numpy as np
import pytest

from src import export
from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.checkpoints.saved_graphs import read_graph
from src.common.errors import InputError, run_command
from src.common.mxnet_backend import mx
from src.onnx_model import comparison
from src.onnx_model.layer import Layer
from src.onnx_model.libraries import onnx
from src.symbols.table import build_embedding

DATA = (1, 3, 112, 112)
SIZE = 16


def random_checkpoint(prefix, symbol, seed=5):
    """Saves `prefix,1`, random, with weights and statistics that keep the scale of activations."""
    random = np.random.RandomState(seed)

    def array(name, shape):
        if name.endswith("_weight"):
            weights = random.standard_normal(shape).astype(np.float32)
            return mx.nd.array(weights / np.sqrt(np.prod(shape[1:])))
        if name.endswith(("_gamma", "_var")):
            return mx.nd.array(random.uniform(0.5, 1.0, shape))
        return mx.nd.array(random.standard_normal(shape) * 0.1)

    arguments, _, auxiliary = symbol.infer_shape(data=DATA)
    named = zip(symbol.list_arguments(), arguments, strict=True)
    arg_params = {name: array(name, shape) for name, shape in named if name != "data"}
    named = zip(symbol.list_auxiliary_states(), auxiliary, strict=True)
    save_checkpoint(prefix, 1, symbol, arg_params, {n: array(n, shape) for n, shape in named})
    return f"{prefix},1"


@pytest.fixture(scope="module")
def y1(tmp_path_factory):
    """`prefix,1` of a small MobileFaceNet."""
    symbol = build_embedding("y1", SIZE, version_output="GDC")
    return random_checkpoint(str(tmp_path_factory.mktemp("y1") / "model"), symbol)


def faces(count, seed=11):
    return comparison.random_faces(count, DATA[2:], seed)


def run(path, images):
    return comparison.run_session(comparison.open_session(str(path), 1), images)


# One network of each family and head, with flags that change its operators. Without a final
# normalisation, embeddings have an arbitrary scale.
FAST = {
    "y1": {"version_output": "GDC"},
    "m1": {"version_output": "GDC"},
    "r18": {"version_input": 0, "version_act": "relu", "version_output": "D"},
    "s20": {},
}
SLOW = {
    "y2": {"version_output": "GNAP"},
    "r50": {"version_se": 1, "version_output": "F"},
    "r34": {"version_unit": 1, "version_output": "K"},
    "r100": {},
    "m2": {"version_output": "J"},
    "d121": {"version_output": "GAP"},
    "i2": {},
    "x1": {},
    "p92": {},
    "n1": {},
}


@pytest.mark.parametrize(
    ("network", "flags"),
    [*FAST.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in SLOW.items())],
)
def test_every_family(tmp_path, capsys, network, flags):
    model = random_checkpoint(str(tmp_path / "m"), build_embedding(network, SIZE, **flags))
    path = tmp_path / "model.onnx"
    export.main(["--model", model, "--output", str(path)])
    printed = capsys.readouterr().out
    # The limit is 1e-4; the measured values are below a tenth of it.
    assert float(re.search(r"^largest difference: (\S+)", printed, re.MULTILINE)[1]) < 1e-5
    assert "input data (batch, 3, 112, 112), output fc1 (batch, 16)" in printed
    session = comparison.open_session(str(path))
    assert comparison.run_session(session, faces(2)).shape == (2, SIZE)


def test_the_published_model(shared, tmp_path, capsys):
    """Gives the embeddings of 20 faces that the 2018 scripts computed (y1_forward.npz)."""
    prefix = shared / "pretrained" / "model-y1-test2" / "model"
    path = tmp_path / "folder" / "y1.onnx"
    difference = export.export(f"{prefix},0", str(path))
    assert difference.absolute < 1e-5
    assert f"{difference.relative:.2e} of the largest element" in capsys.readouterr().out
    reference = np.load(shared / "reference" / "y1_forward.npz")
    images = reference["images_rgb_uint8"].transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(run(path, images), reference["emb_batch20"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(run(path, images[:1]), reference["emb_batch1"][:1], atol=1e-5)


def test_contents_of_the_file(y1, tmp_path):
    path = tmp_path / "y1.onnx"
    export.export(y1, str(path))
    model = onnx.load(path)
    symbol, arg_params, aux_params = load_checkpoint(y1[:-2], 1)
    assert [value.name for value in model.graph.input] == ["data"]
    assert [value.name for value in model.graph.output] == ["fc1"]

    constants = {array.name for array in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    assert constants <= used
    scalars = {name for name in constants if name.endswith("_scalar")}
    assert constants - scalars == {*arg_params, *aux_params}
    # Layers keep their names; the only additional node flattens the input of a fully connected one.
    layers = {name.removesuffix("_output") for name in symbol.get_internals().list_outputs()}
    added = {node.name for node in model.graph.node} - layers
    assert added == {"pre_fc1_flat"}

    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["source"] == "MXNet checkpoint model,1"
    assert "RGB, 0..255" in metadata["input"]
    assert metadata["embedding_size"] == str(SIZE)
    assert os.path.dirname(y1) not in str(metadata) + model.doc_string
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version == 7


def test_a_dynamic_batch_gives_the_same_at_every_size(y1, tmp_path):
    path = tmp_path / "y1.onnx"
    export.export(y1, str(path))
    images = faces(8)
    together = run(path, images)
    for size in (1, 3):
        parts = [run(path, images[i : i + size]) for i in range(0, 8, size)]
        np.testing.assert_allclose(np.concatenate(parts), together, rtol=0, atol=1e-5)


def test_a_fixed_batch(y1, tmp_path, capsys):
    path = tmp_path / "y1.onnx"
    export.main(["--model", y1, "--output", str(path), "--batch-size", "2"])
    assert "input data (2, 3, 112, 112), output fc1 (2, 16)" in capsys.readouterr().out
    assert run(path, faces(2)).shape == (2, SIZE)
    (axis, *_) = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert axis.dim_value == 2


@pytest.fixture(scope="module")
def gnap(tmp_path_factory):
    """`prefix,1` of a MobileFaceNet whose head computes a mean over the batch."""
    symbol = build_embedding("y1", SIZE, version_output="GNAP")
    return random_checkpoint(str(tmp_path_factory.mktemp("gnap") / "model"), symbol)


def test_gnap_depends_on_the_batch_as_in_mxnet_with_a_warning(gnap, tmp_path, caplog):
    path = tmp_path / "open.onnx"
    with caplog.at_level(logging.WARNING):
        export.export(gnap, str(path))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "GNAP" in line
    assert "depends on the other faces of its batch" in line
    assert "--batch-size 1" in line
    reported = float(re.search(r"by up to (\S+) of its largest element", line)[1])
    # `export` has compared each batch size with MXNet; here, batch sizes differ from each other.
    images = faces(3)
    alone = run(path, images[:1])
    assert np.abs(run(path, images)[:1] - alone).max() > 1e-3 * np.abs(alone).max()
    assert 1e-3 < reported < 1
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert metadata["batch"] == "an embedding depends on the other faces of its batch"


def test_gnap_with_batch_size_1(gnap, tmp_path, caplog):
    path = tmp_path / "one.onnx"
    with caplog.at_level(logging.WARNING):
        export.export(gnap, str(path), batch_size=1)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "depends on its face alone" in line
    assert run(path, faces(1)).shape == (1, SIZE)


def test_other_networks_depend_on_the_face_alone(y1, tmp_path, caplog):
    path = tmp_path / "y1.onnx"
    with caplog.at_level(logging.WARNING):
        export.export(y1, str(path))
    assert not caplog.records
    session = comparison.open_session(str(path), 1)
    change, similarity = comparison.effect_of_batch(session, DATA[2:])
    assert change < 1e-5
    assert similarity == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kept", [False, True])
def test_a_wrong_conversion_is_not_written(y1, tmp_path, monkeypatch, capsys, kept):
    read = Layer.value

    def read_other_epsilon(layer, key, default=None):
        value = read(layer, key, default)
        return 0.01 if key == "eps" else value

    monkeypatch.setattr(Layer, "value", read_other_epsilon)
    path = tmp_path / "y1.onnx"
    if kept:
        path.write_bytes(b"an earlier file")
    with pytest.raises(InputError, match=r"y1.onnx was not written.*limit is 0.0001"):
        export.export(y1, str(path))
    assert re.match(r"largest difference: \d\.\d\de-0[123] of", capsys.readouterr().out)
    # This run leaves nothing.
    assert [p.name for p in tmp_path.iterdir()] == (["y1.onnx"] if kept else [])
    assert not kept or path.read_bytes() == b"an earlier file"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_with_nan_or_inf_is_not_written(y1, tmp_path, value):
    symbol, arg_params, aux_params = load_checkpoint(y1[:-2], 1)
    arg_params["fc1_beta"][:] = value
    save_checkpoint(str(tmp_path / "nan"), 1, symbol, arg_params, aux_params)
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="was not written"):
        export.export(f"{tmp_path / 'nan'},1", str(tmp_path / "o.onnx"))
    assert not (tmp_path / "o.onnx").exists()


def test_without_the_extra_the_error_gives_the_install_command(y1, tmp_path, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("src.onnx_model"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    # `from src import onnx_model` would find the module as an attribute of its package.
    monkeypatch.delattr("src.onnx_model")
    with pytest.raises(InputError, match=r"onnx is not installed.*pip install -e '\.\[onnx\]'"):
        export.export(y1, str(tmp_path / "o.onnx"))


WRONG = {
    "no folder": (["--model", "nowhere/m,1", "--output", "o.onnx"], ["no folder nowhere"]),
    "no epoch": (["--model", "m,7", "--output", "o.onnx"], ["m-0007.params", "m,1"]),
    "two epochs": (["--model", "m,1|2", "--output", "o.onnx"], ["m,1"]),
    "a folder": (["--model", "m,1", "--output", "."], ["--output .", "is a folder"]),
    "the model": (["--model", "m,1", "--output", "./m-0001.params"], ["a file of --model"]),
    "image size": (
        ["--model", "m,1", "--output", "o.onnx", "--image-size", "96,96"],
        ["does not fit images of shape (3, 96, 96)", "fc1_weight"],
    ),
    "no numbers": (["--model", "m,1", "--output", "o.onnx", "--image-size", "a"], ["image size"]),
    "no embedding": (["--model", "other,1", "--output", "o.onnx"], ["fc1_output"]),
    "an operator": (["--model", "sine,1", "--output", "o.onnx"], ["wave (sin)"]),
    "a map": (["--model", "map,1", "--output", "o.onnx"], ["one vector per image"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_ends_with_one_line(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    data = mx.sym.Variable("data")
    symbol = mx.sym.FullyConnected(data, num_hidden=2, name="fc1")
    random_checkpoint("m", symbol)
    save_checkpoint("m", 2, symbol, *load_checkpoint("m", 1)[1:])
    random_checkpoint("other", mx.sym.FullyConnected(data, num_hidden=2, name="other"))
    wave = mx.sym.sin(data, name="wave")
    random_checkpoint("sine", mx.sym.FullyConnected(wave, num_hidden=2, name="fc1"))
    random_checkpoint("map", mx.sym.Convolution(data, kernel=(3, 3), num_filter=2, name="fc1"))
    before = sorted(os.listdir())
    arguments, words = WRONG[name]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: export.main(arguments))
    assert ended.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("text", ["-1", "many", "1.5"])
def test_batch_size_is_an_integer(text, capsys):
    with pytest.raises(SystemExit):
        export.parse_args(["--model", "m,1", "--output", "o", f"--batch-size={text}"])
    assert "expected an integer of at least 0" in capsys.readouterr().err


def test_random_faces_include_light_and_dark_ones():
    images = faces(8)
    assert images.shape == (8, 3, 112, 112)
    assert images.dtype == np.float32
    assert np.array_equal(images, np.round(images))
    assert images.min() == 0
    assert images.max() == 255
    assert np.ptp(images.mean(axis=(1, 2, 3))) > 10
    assert not np.array_equal(images, faces(8, seed=12))


def test_a_difference_is_relative_to_the_largest_element():
    assert comparison.Difference(2e-5, 0.5).relative == pytest.approx(4e-5)
    assert np.isnan(comparison.Difference(0.0, 0.0).relative)


def test_the_case_of_a_published_network_with_reshape(shared, tmp_path, capsys):
    symbols = shared / "cases" / "models" / "symbols"
    symbol = read_graph(str(symbols / "gamodel-r50-symbol.json"))
    random_checkpoint(tmp_path / "ga", symbol)
    output = tmp_path / "ga.onnx"
    difference = export.export(f"{tmp_path / 'ga'},1", str(output))
    assert difference.relative < export.LARGEST_DIFFERENCE
    assert output.exists()
