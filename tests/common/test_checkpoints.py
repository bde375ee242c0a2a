"""Checkpoints: files, damage, whose numbers they are, cutting and binding."""

import logging
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from src.common import checkpoints
from src.common.errors import InputError
from src.common.mxnet_backend import mx


def tiny_symbol(classes=3):
    """A classifier whose 8×8 images become 1×1 maps: the shape that crashed oneDNN's fusion."""
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=6, kernel=(8, 8), name="conv")
    body = mx.sym.LeakyReLU(body, gamma=mx.sym.var("act_gamma"), act_type="prelu", name="act")
    body = mx.sym.FullyConnected(body, num_hidden=4, name="pre_fc1")
    body = mx.sym.BatchNorm(body, fix_gamma=True, eps=2e-5, name="fc1")
    body = mx.sym.FullyConnected(body, num_hidden=classes, name="fc7")
    return mx.sym.SoftmaxOutput(body, name="softmax")


def tiny_parameters(classes=3, seed=0):
    draw = np.random.RandomState(seed)
    symbol = tiny_symbol(classes)
    shapes, _, aux_shapes = symbol.infer_shape(data=(2, 3, 8, 8))
    arg_params = {
        name: mx.nd.array(draw.uniform(-0.1, 0.1, shape))
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
        if name not in ("data", "softmax_label")
    }
    aux_params = {
        name: mx.nd.array(draw.uniform(0.5, 1.5, shape))
        for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes, strict=True)
    }
    return arg_params, aux_params


@pytest.fixture
def prefix(tmp_path):
    """Prefix of a model with epochs 2, 10 and 10000, beside another model and other files."""
    prefix = str(tmp_path / "models" / "y1")
    for epoch in (10, 2, 10000):
        checkpoints.save(prefix, epoch, tiny_symbol(), *tiny_parameters(seed=epoch))
    checkpoints.save(str(tmp_path / "models" / "y1-b"), 7, tiny_symbol(), *tiny_parameters())
    (tmp_path / "models" / "y1-last.params").write_bytes(b"")
    (tmp_path / "models" / "y1-0003.params.part").write_bytes(b"")
    return prefix


def test_a_missing_graph_is_named(prefix):
    os.remove(checkpoints.symbol_path(prefix))
    with pytest.raises(InputError, match=r"no .*y1-symbol.json, the graph that belongs to"):
        checkpoints.load(prefix, 2)


def test_mxnet_reads_what_is_saved(prefix):
    symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 10)
    expected_args, expected_aux = tiny_parameters(seed=10)
    assert symbol.tojson() == tiny_symbol().tojson()
    for read, expected in ((arg_params, expected_args), (aux_params, expected_aux)):
        assert read.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(read[name].asnumpy(), expected[name].asnumpy())


def test_load_reads_what_mxnet_saves(tmp_path):
    prefix = str(tmp_path / "model")
    mx.model.save_checkpoint(prefix, 1, tiny_symbol(), *tiny_parameters())
    symbol, arg_params, aux_params = checkpoints.load(prefix, 1)
    assert symbol.list_outputs() == ["softmax_output"]
    assert arg_params["fc7_weight"].shape == (3, 4)
    assert set(aux_params) == {"fc1_moving_mean", "fc1_moving_var"}


def test_a_failing_save_leaves_what_was_there(tmp_path, monkeypatch):
    prefix = str(tmp_path / "model")

    def fail(path, arrays):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(mx.nd, "save", fail)
        with pytest.raises(OSError, match="disk full"):
            checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters())
        assert not list(tmp_path.iterdir())
    checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(mx.nd, "save", fail)
    with pytest.raises(OSError, match="disk full"):  # another network under the same prefix
        checkpoints.save(prefix, 1, tiny_symbol(5), *tiny_parameters(5))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_numbers_never_appear_before_their_graph(tmp_path, monkeypatch):
    prefix = str(tmp_path / "model")
    appeared = []
    rename = os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (appeared.append(os.path.basename(new)), rename(old, new))
    )
    checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters())
    checkpoints.save(prefix, 2, tiny_symbol(), *tiny_parameters())  # the same graph stays
    assert appeared == ["model-symbol.json", "model-0001.params", "model-0002.params"]


@pytest.mark.parametrize("killed_in", ["mx.nd.save", "os.replace", "os.fsync"])
def test_a_killed_save_leaves_the_checkpoint_before(tmp_path, killed_in):
    prefix = str(tmp_path / "model")
    checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters())
    program = f"""
        import os, signal
        from src.common import checkpoints
        from src.common.mxnet_backend import mx
        symbol, arg_params, aux_params = checkpoints.load({prefix!r}, 1)
        larger = {{name: array * 2 for name, array in arg_params.items()}}
        def die(*arguments):
            if isinstance(arguments[0], str):
                with open(arguments[0], "ab") as file:
                    file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        {killed_in} = die
        checkpoints.save({prefix!r}, 1, symbol, larger, aux_params)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, arg_params, _ = checkpoints.load(prefix, 1)
    expected, _ = tiny_parameters()
    for name, array in expected.items():
        np.testing.assert_array_equal(arg_params[name].asnumpy(), array.asnumpy())
    checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters(seed=5))  # and the next run goes on
    assert checkpoints.load(prefix, 1)[1]["fc7_bias"] is not None


@pytest.mark.parametrize("missing", [1, 100, 4000])
def test_a_disk_that_is_full_is_noticed_at_any_byte(tmp_path, missing):
    """MXNet itself tells of it only where more than its last buffer is missing."""
    prefix = str(tmp_path / "model")
    path = checkpoints.save(prefix, 1, tiny_symbol(), *tiny_parameters())
    size = os.path.getsize(path)
    program = f"""
        import resource, signal
        from src.common import checkpoints
        checkpoint = checkpoints.load({prefix!r}, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size - missing}, {size - missing}))
        try:
            checkpoints.save({prefix!r}, 2, *checkpoint)
        except OSError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert "cannot be written whole: is the disk full?" in done.stdout, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["model-0001.params", "model-symbol.json"]


@pytest.mark.parametrize("damage", [b"", b"not arrays at all", None])
def test_damaged_numbers(prefix, damage):
    path = checkpoints.params_path(prefix, 2)
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(InputError, match=r"y1-0002.params is damaged or no MXNet file"):
        checkpoints.load(prefix, 2)


@pytest.mark.parametrize("text", ["", "{", "no json", "\udcff"])
def test_damaged_graph(prefix, text):
    with open(checkpoints.symbol_path(prefix), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"y1-symbol.json is no MXNet graph"):
        checkpoints.load(prefix, 2)


@pytest.mark.parametrize(
    "rename",
    [
        lambda kind, name: name,
        lambda kind, name: f"{kind}:module.{name}",
        lambda kind, name: f"module.{name}",
        lambda kind, name: f"module.{kind}:{name}",
        lambda kind, name: f"{kind}:model/backbone/{name}",
        lambda kind, name: f"arg:{name}",  # also the moving means
    ],
)
def test_names_that_other_programs_give(prefix, rename, caplog):
    arg_params, aux_params = tiny_parameters(seed=1)
    arrays = {rename("arg", name): array for name, array in arg_params.items()}
    arrays |= {rename("aux", name): array for name, array in aux_params.items()}
    mx.nd.save(checkpoints.params_path(prefix, 2), arrays)
    _, *loaded = checkpoints.load(prefix, 2)
    for read, expected in zip(loaded, (arg_params, aux_params), strict=True):
        assert read.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(read[name].asnumpy(), expected[name].asnumpy())
    assert "does not use" not in caplog.text


def test_arrays_that_the_graph_does_not_have_are_listed(prefix, caplog):
    arg_params, aux_params = tiny_parameters()
    extra = {"conv9_weight": mx.nd.ones(2), "conv9_bias": mx.nd.ones(2)}
    checkpoints.save(prefix, 2, tiny_symbol(), arg_params | extra, aux_params)
    _, loaded, _ = checkpoints.load(prefix, 2)
    assert set(loaded) == set(arg_params) | set(extra)
    assert "holds arrays that its graph does not use: conv9_weight, conv9_bias" in caplog.text


def test_numbers_of_gluon_are_told(prefix):
    mx.nd.save(checkpoints.params_path(prefix, 2), {"conv.weight": mx.nd.ones(2)})
    with pytest.raises(InputError, match="gluon"):
        checkpoints.load(prefix, 2)
    mx.nd.save(checkpoints.params_path(prefix, 2), [mx.nd.ones(2)])
    with pytest.raises(InputError, match="gluon"):
        checkpoints.load(prefix, 2)


def test_cut_at_embedding():
    cut = checkpoints.cut_at_embedding(tiny_symbol())
    assert cut.list_outputs() == ["fc1_output"]
    assert checkpoints.cut_at_embedding(cut).list_outputs() == ["fc1_output"]
    other = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="embed")
    with pytest.raises(InputError, match=r"fc1_output.*embed_output"):
        checkpoints.cut_at_embedding(other)


def forward(module, images):
    module.forward(mx.io.DataBatch(data=(mx.nd.array(images),)), is_train=False)
    return module.get_outputs()[0].asnumpy()


@pytest.mark.parametrize("contexts", [mx.cpu(), [mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_bound_embedding_runs_again_and_again(contexts):
    arg_params, aux_params = tiny_parameters()
    images = np.random.RandomState(1).uniform(0, 255, (4, 3, 8, 8))
    module = checkpoints.bind_embedding(tiny_symbol(), arg_params, aux_params, contexts, 4, (8, 8))
    executor = checkpoints.cut_at_embedding(tiny_symbol()).bind(
        mx.cpu(),
        {"data": mx.nd.array(images), **{k: arg_params[k] for k in arg_params if "fc7" not in k}},
        aux_states=aux_params,
        args_grad={"act_gamma": mx.nd.zeros(6)},  # a graph with gradients is not fused
    )
    expected = executor.forward(is_train=False)[0].asnumpy()
    for _ in range(4):
        np.testing.assert_allclose(forward(module, images), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(forward(module, images[::-1]), expected[::-1], rtol=1e-5, atol=1e-5)


def test_a_module_that_the_caller_binds_runs_again_and_again():
    """2018 code binds by itself, with MXNet's default settings."""
    module = mx.mod.Module(checkpoints.cut_at_embedding(tiny_symbol()), label_names=None)
    module.bind(data_shapes=[("data", (4, 3, 8, 8))], for_training=False)
    arg_params, aux_params = tiny_parameters()
    module.set_params(arg_params, aux_params, allow_extra=True)
    images = np.random.RandomState(1).uniform(0, 255, (4, 3, 8, 8))
    first = forward(module, images)
    for _ in range(3):
        np.testing.assert_array_equal(forward(module, images), first)


def test_binding_checks_the_parameters(caplog):
    arg_params, aux_params = tiny_parameters()

    def bind(args=arg_params, aux=aux_params, batch_size=2, image_size=(8, 8), contexts=None):
        return checkpoints.bind_embedding(
            tiny_symbol(), args, aux, contexts or mx.cpu(), batch_size, image_size
        )

    without = {name: arg_params[name] for name in arg_params if name != "conv_bias"}
    with pytest.raises(InputError, match=r"lacks 1 of the 9 arrays.*conv_bias"):
        bind(args=without)
    with pytest.raises(InputError, match=r"lacks 1 of the 9 arrays.*fc1_moving_var"):
        bind(aux={"fc1_moving_mean": aux_params["fc1_moving_mean"]})
    with pytest.raises(InputError, match=r"\(3, 9, 9\).*pre_fc1_weight is \(4, 6\), expected"):
        bind(image_size=(9, 9))
    with pytest.raises(InputError, match=r"does not fit images of shape \(2, 3, 4, 4\)"):
        bind(image_size=(4, 4))
    with pytest.raises(InputError, match=r"batch of 1 .* 2 devices"):
        bind(batch_size=1, contexts=[mx.cpu(0), mx.cpu(1)])
    with caplog.at_level(logging.INFO):
        bind()
    assert "does not use fc7_weight, fc7_bias" in caplog.text


def test_a_failing_binding_prints_nothing(capsys):
    with pytest.raises(InputError):
        checkpoints.bind_embedding(tiny_symbol(), *tiny_parameters(), mx.cpu(), 2, (4, 4))
    assert capsys.readouterr().out == ""


def test_other_class_count_drops_fc7(caplog):
    arg_params, _ = tiny_parameters(classes=3)
    assert checkpoints.drop_other_class_count(arg_params, 3) == arg_params
    assert not caplog.text
    kept = checkpoints.drop_other_class_count(arg_params, 5)
    assert set(arg_params) - set(kept) == {"fc7_weight", "fc7_bias"}
    assert "trained on 3 classes, this data set has 5: its fc7_weight and fc7_bias" in caplog.text
    assert checkpoints.drop_other_class_count(kept, 5) == kept
