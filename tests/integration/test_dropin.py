"""Third-party scripts of 2018, as they are, and the parts of 2018's interface that they use."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from src.align import detect_face
from src.align.preprocess import preprocess
from src.common.mxnet_backend import mx
from src.data import dataset_info
from src.eval import lfw
from src.loading import triplet_iter
from src.loading.face_iter import FaceImageIter
from src.symbols import fresnet, symbol_utils


def run_script(shared, name, *arguments, **variables):
    script = shared / "cases" / "dropin" / name
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def test_mxnet_can_be_imported_first(shared, repository):
    """Where README installs it, that is with NumPy below 1.24."""
    if sys.version_info >= (3, 12) or np.lib.NumpyVersion(np.__version__) >= "1.24.0":
        pytest.skip("this environment is not the one of README on Python 3.10 and 3.11")
    done = run_script(shared, "import_order.py", repository / "src" / "common")
    assert done.stdout == "ok 1.9.1 face_preprocess\n", done.stderr


def test_any_first_argument_of_create_mtcnn_is_accepted(shared, repository):
    done = run_script(shared, "session.py", repository)
    assert done.stdout == "ok 3\n", done.stderr
    for session in (None, "session", 3, mx.cpu()):
        assert len(detect_face.create_mtcnn(session, None)) == 3


SAMPLES_BEGIN = "import src.common.mxnet_backend, runpy, sys; sys.argv = sys.argv[1:]; "


def test_samples_are_read_one_by_one(shared, repository, learnable_set):
    script = shared / "cases" / "dropin" / "samples.py"
    program = f"{SAMPLES_BEGIN}runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", program, script, repository / "src"]
    done = subprocess.run(
        [*command, learnable_set / "train.rec"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "done 48", done.stderr
    assert "these arguments have no effect: color_jittering, images_filter" in done.stderr


@pytest.fixture
def images(learnable_set):
    return FaceImageIter(4, (3, 112, 112), str(learnable_set / "train.rec"), shuffle=True, seed=1)


def test_samples_follow_the_order_of_the_epoch(images):
    images.reset()
    order = list(images.seq)
    samples = [images.next_sample() for _ in range(48)]
    assert [sample[0] for sample in samples] == [images.reader.read(n).label[0] for n in order]
    assert {sample[2:] for sample in samples} == {(None, None)}
    with pytest.raises(StopIteration):
        images.next_sample()
    images.reset()
    assert images.seq != order
    assert images.next_sample()[1] == images.reader.read(images.seq[0]).content
    images.hard_reset()
    assert images.cur == 0


def test_samples_are_the_images_of_the_batches(images):
    images.reset()
    batch = images.next().data[0].asnumpy()
    pixels = [
        images.postprocess_data(images.imdecode(images.next_sample()[1])).asnumpy()
        for _ in range(4)
    ]
    np.testing.assert_allclose(batch, pixels, atol=2)  # of two JPEG decoders


def test_the_attributes_of_2018(images, learnable_set, tmp_path):
    assert images.imgrec.read_idx(1)
    assert images.seq_identity == list(range(49, 57))
    assert (images.data_shape, images.image_size) == ((3, 112, 112), "112,112")
    assert (images.cur, images.nbatch, images.is_init) == (0, 0, False)
    images.next()
    assert (images.nbatch, images.is_init, images.rand_mirror, images.cutoff) == (1, True, False, 0)
    assert images.nd_mean is None
    with_mean = FaceImageIter(
        4, (3, 112, 112), str(learnable_set / "train.rec"), mean=[127.5, 127.5, 127.5]
    )
    assert with_mean.nd_mean.shape == with_mean.mean.shape == (1, 1, 3)
    images.auglist = [lambda image: [image, image + 1]]
    assert [x.asscalar() for x in images.augmentation_transform([mx.nd.zeros(1)])] == [0, 1]
    (tmp_path / "file").write_bytes(b"content")
    images.path_root = str(tmp_path)
    assert images.read_image("file") == b"content"
    images.check_valid_image([mx.nd.zeros((2, 2, 3))])
    with pytest.raises(ValueError, match="expected"):
        images.check_data_shape((1, 112, 112))


def test_the_triplet_iterator_accepts_unknown_arguments_too(learnable_set, caplog):
    triplet_iter.FaceImageIter(
        6, (3, 112, 112), str(learnable_set / "train.rec"), triplet_params=(24, 0.3, 0.0),
        mx_model=object(), coco_mode=False,
    )  # fmt: skip
    assert "these arguments have no effect: coco_mode" in caplog.text


# -------------------------------------------------------------------------------- networks


def test_a_resnet_has_squeeze_and_excitation_by_default():
    assert len(fresnet.get_symbol(512, 50).list_arguments()) == 359
    assert len(fresnet.get_symbol(512, 50, version_se=0).list_arguments()) == 239


def function(symbol):
    """The nodes of a graph without the names of unnamed ones."""
    return [
        (node["op"], node.get("attrs"), [i[0] for i in node["inputs"]])
        for node in json.loads(symbol.tojson())["nodes"]
    ]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("residual_unit_v1", {"version_unit": 1, "version_input": 0}),
        ("residual_unit_v1_L", {"version_unit": 1}),
        ("residual_unit_v2", {"version_unit": 2}),
        ("residual_unit_v3", {"version_unit": 3}),
    ],
)
@pytest.mark.parametrize("bottle_neck", [False, True])
def test_units_are_those_of_the_networks(name, settings, bottle_neck):
    """A unit built by itself is the same part of the graph as in the network."""
    data = mx.sym.var("data")
    shape = (64, (2, 2), False, "u", bottle_neck)
    unit = getattr(fresnet, name)(data, *shape, version_se=1, workspace=256, memonger=False)
    assert function(unit) == function(fresnet.residual_unit(data, *shape, **settings))
    assert "u_se_conv1_weight" in unit.list_arguments()
    outputs = unit.infer_shape(data=(1, 64, 8, 8))[1]
    assert outputs == [(1, 64, 4, 4)]
    same = getattr(fresnet, name)(data, 64, (1, 1), True, "u", bottle_neck, version_se=0)
    assert not [each for each in same.list_arguments() if "_se_" in each or "sc" in each]


def test_the_building_blocks_of_2018():
    data = mx.sym.var("data")
    conv = symbol_utils.Conv(data=data, num_filter=8, kernel=(3, 3), name="c")
    assert conv.infer_shape(data=(1, 3, 8, 8))[1] == [(1, 8, 6, 6)]
    assert symbol_utils.Act(data, "prelu", "a").list_arguments() == ["data", "a_gamma"]
    assert symbol_utils.Act(data, "relu", "a").list_arguments() == ["data"]
    linear = symbol_utils.Linear(data, 8, (3, 3), (2, 2), (1, 1), name="l", suffix="_x")
    assert linear.list_arguments()[1:] == [
        "l_x_conv2d_weight", "l_x_batchnorm_gamma", "l_x_batchnorm_beta",
    ]  # fmt: skip
    assert linear.infer_shape(data=(1, 3, 8, 8))[1] == [(1, 8, 4, 4)]
    head = symbol_utils.get_head(data, 1, 96)
    assert head.infer_shape(data=(1, 3, 112, 112))[1] == [(1, 64, 56, 56)]
    with pytest.raises(AttributeError, match="has no attribute 'get_tail'"):
        symbol_utils.get_tail  # noqa: B018


@pytest.mark.parametrize("network", ["fdensenet", "fdpn", "finception_resnet_v2", "fmobilenet"])
def test_version_input_2_is_1_where_2018_could_build_it(network):
    layers = {"fdensenet": 121, "fdpn": 92, "finception_resnet_v2": 2, "fmobilenet": 1}[network]
    build = importlib.import_module(f"src.symbols.{network}").get_symbol
    one, two = (build(128, layers, version_input=version) for version in (1, 2))
    assert one.list_arguments() == two.list_arguments()
    assert function(one) == function(two)


# ------------------------------------------------------------------------------ functions


def test_preprocess_without_a_size_keeps_that_of_the_crop():
    image = np.zeros((200, 300, 3), np.uint8)
    assert preprocess(image, bbox=[50, 60, 150, 140], margin=20).shape == (100, 120, 3)
    assert preprocess(image, bbox=[50, 60, 150, 140], image_size="112,96").shape == (112, 96, 3)


def test_pairs_of_lfw(tmp_path, caplog):
    for name in ("A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "pairs.txt").write_text("10\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\n")
    pairs = lfw.read_pairs(str(tmp_path / "pairs.txt"))
    assert pairs.tolist() == [["A", "1", "2"], ["A", "1", "B", "1"], ["B", "1", "2"]]
    paths, same = lfw.get_paths(str(tmp_path), pairs, "jpg")
    names = [os.path.relpath(path, tmp_path) for path in paths]
    assert names == ["A/A_0001.jpg", "A/A_0002.jpg", "A/A_0001.jpg", "B/B_0001.jpg"]
    assert same == [True, False]
    assert "Skipped 1 image pairs" in caplog.text


def test_dataset_info_takes_the_flag_of_2018(learnable_set, capsys):
    printed = []
    for arguments in ([str(learnable_set)], ["--input", str(learnable_set)]):
        assert dataset_info.main(arguments) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""
    with pytest.raises(SystemExit):
        dataset_info.main([])
