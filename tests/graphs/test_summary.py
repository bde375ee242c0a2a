"""Parameters and multiply-adds, compared with counts by hand and with the networks of 2018."""

import math

import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.summary import MOST_ROWS, merge_layers, multiply_adds, read_layers, total
from src.symbols.table import build_embedding


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "expected"),
    [
        # 8 filters of 3×3×3 at 10×10 positions
        ("Convolution", [(1, 3, 12, 12), (8, 3, 3, 3)], (1, 8, 10, 10), 8 * 27 * 100),
        # the same for a batch of 5
        ("Convolution", [(5, 3, 12, 12), (8, 3, 3, 3)], (5, 8, 10, 10), 5 * 8 * 27 * 100),
        # 2 groups: each of 8 filters uses 3 of 6 channels
        ("Convolution", [(1, 6, 12, 12), (8, 3, 3, 3), (8,)], (1, 8, 5, 5), 8 * 27 * 25),
        # depthwise 7×7 on 512 maps of 7×7
        ("Convolution", [(1, 512, 7, 7), (512, 1, 7, 7)], (1, 512, 1, 1), 512 * 49),
        # 4 channels to 6, each of 5×5 positions spread over 2×2
        ("Deconvolution", [(1, 4, 5, 5), (4, 6, 2, 2)], (1, 6, 10, 10), 25 * 4 * 6 * 4),
        ("FullyConnected", [(1, 8, 5, 5), (10, 200), (10,)], (1, 10), 2000),
        # without flattening: 7 rows
        ("FullyConnected", [(1, 7, 20), (10, 20)], (1, 7, 10), 7 * 200),
        ("BatchNorm", [(1, 8, 5, 5), (8,), (8,), (8,), (8,)], (1, 8, 5, 5), 0),
        ("Activation", [(1, 8, 5, 5)], (1, 8, 5, 5), 0),
    ],
)
def test_multiply_adds_by_hand(operator, inputs, output, expected):
    assert multiply_adds(operator, inputs, output) == expected


def small_network():
    body = mx.sym.Convolution(
        mx.sym.var("data"), num_filter=8, kernel=(3, 3), stride=(2, 2), pad=(1, 1), name="conv0"
    )
    body = mx.sym.BatchNorm(body, fix_gamma=False, name="bn0")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu0")
    first, second = mx.sym.SliceChannel(body, num_outputs=2, name="halves")
    shared = mx.sym.var("dw_weight")
    settings = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 4, "num_group": 4, "no_bias": True}
    first = mx.sym.Convolution(first, shared, name="dw_first", **settings)
    second = mx.sym.Convolution(second, shared, name="dw_second", **settings)
    body = mx.sym.Concat(first, second, name="both")
    return mx.sym.FullyConnected(body, num_hidden=5, name="fc1")


def test_a_small_network_by_hand():
    layers = {layer.name: layer for layer in read_layers(small_network(), (6, 10))}
    found = {
        name: (layer.shape, layer.parameters, layer.auxiliary, layer.multiply_adds)
        for name, layer in layers.items()
    }
    assert found == {
        "conv0": ((8, 3, 5), 8 * 27 + 8, 0, 8 * 27 * 15),
        "bn0": ((8, 3, 5), 16, 16, 0),
        "relu0": ((8, 3, 5), 8, 0, 0),
        "halves": ((4, 3, 5), 0, 0, 0),
        "dw_first": ((4, 3, 5), 36, 0, 4 * 9 * 15),
        "dw_second": ((4, 3, 5), 0, 0, 4 * 9 * 15),  # the weight counts for the first one
        "both": ((8, 3, 5), 0, 0, 0),
        "fc1": ((5,), 605, 0, 600),
    }
    assert layers["both"].inputs == ("dw_first", "dw_second")
    assert layers["conv0"].inputs == ()
    assert total(list(layers.values())) == (889, 16, 3240 + 1080 + 600)


# (parameters, embedding size) of 2018's complete training graphs with loss-type 0 and 200 classes
# (reference/symbols.json.gz); 200 · (size + 1) of the parameters belong to the classifier.
OF_2018 = {
    ("y1", "GDC"): (1029064, 128),
    ("y1", "GNAP"): (1005000, 128),
    ("m1", "E"): (29014216, 512),
    ("m2", "E"): (34072856, 512),
    ("r18", "E"): (24128200, 512),
    ("r50", "E"): (43693448, 512),
    ("r50", "A"): (30847368, 512),
    ("r50", "GDC"): (31135624, 512),
    ("r100", "E"): (65258760, 512),
    ("r269", "E"): (151705416, 512),
    ("d121", "E"): (32818888, 512),
    ("p92", "E"): (102590856, 512),
    ("i2", "E"): (167825892, 512),
    ("x1", "E"): (31107712, 512),
    ("n1", "E"): (185987166, 512),
    ("s20", "E"): (24604552, 512),
}


@pytest.mark.parametrize(("name", "output"), OF_2018)
def test_parameters_are_those_of_2018(name, output):
    every, size = OF_2018[name, output]
    layers = read_layers(build_embedding(name, size, version_output=output))
    assert total(layers)[0] == every - 200 * (size + 1)
    assert layers[-1].shape == (size,)


# Operations, a multiply-add counted as two, that Open Model Zoo gives for the published InsightFace
# models face-recognition-resnet100-arcface-onnx and face-recognition-mobilefacenet-arcface, and a
# tolerance: it also counts activations and sums, whose share is larger in the small network.
OF_MODEL_ZOO = {"r100": (24.2115e9, 1.002), "y1": (0.449e9, 1.02)}


@pytest.mark.parametrize("name", OF_MODEL_ZOO)
def test_multiply_adds_are_close_to_published_ones(name):
    size, output = (128, "GDC") if name == "y1" else (512, "E")
    _, _, found = total(read_layers(build_embedding(name, size, version_output=output)))
    published, tolerance = OF_MODEL_ZOO[name]
    assert 2 * found < published < tolerance * 2 * found


@pytest.fixture(scope="module")
def r50():
    return read_layers(build_embedding("r50", 512))


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 3, 9])
def test_rows_have_the_totals_of_the_layers(r50, depth):
    rows = merge_layers(r50, depth)
    assert total(rows) == total(r50)
    assert sum(sum(row.operators.values()) for row in rows) == len(r50)
    assert len({row.name for row in rows}) == len(rows)
    names = {row.name for row in rows}
    assert all(source in names for row in rows for source in row.inputs)


def test_rows_are_the_parts_of_a_network(r50):
    rows = {row.name: row for row in merge_layers(r50, 2)}
    assert [name for name in rows if name.startswith("stage1")] == [
        "stage1_unit1",
        "stage1_unit2",
        "stage1_unit3",
    ]
    unit = rows["stage1_unit2"]
    assert unit.shape == (64, 56, 56)
    assert unit.multiply_adds == 2 * 64 * 64 * 9 * 56 * 56
    assert unit.operators["elemwise_add"] == 1  # the sum has a default name
    assert unit.inputs == ("stage1_unit1",)
    assert [row.name for row in merge_layers(r50)] == list(rows)
    assert merge_layers(r50, 0) == r50


def test_layers_without_common_names_are_merged_by_map_size():
    body = mx.sym.var("data")
    for number in range(120):
        stride = 2 if number in (40, 80) else 1
        body = mx.sym.Convolution(
            body, kernel=(3, 3), pad=(1, 1), stride=(stride, stride), num_filter=4, no_bias=True,
            name=f"convolution{number}",
        )  # fmt: skip
        body = mx.sym.Activation(body, act_type="relu", name=f"activation{number}")
    layers = read_layers(mx.sym.FullyConnected(body, num_hidden=2, name="fc1"), (16, 12))
    rows = merge_layers(layers)
    assert [row.name for row in rows] == ["16×12", "8×6", "4×3", "vectors"]
    assert [row.operators["Convolution"] for row in rows] == [40, 40, 40, 0]
    assert total(rows) == total(layers)


@pytest.mark.parametrize("name", ["r200", "d201", "p107", "s64", "x1", "n1"])
def test_the_default_table_has_at_most_100_rows(name):
    rows = merge_layers(read_layers(build_embedding(name, 512)))
    assert 5 < len(rows) <= MOST_ROWS


def test_an_image_size_that_a_network_does_not_accept(capsys):
    convolution = mx.sym.Convolution(mx.sym.var("data"), kernel=(7, 7), num_filter=2, name="fc1")
    assert math.prod(read_layers(convolution, (7, 7))[0].shape) == 2
    with pytest.raises(InputError, match="the network does not accept photos of 6×9: "):
        read_layers(convolution, (6, 9))
    assert capsys.readouterr().out == ""
