"""Each operator, in a graph of one or two layers, gives the same in ONNX as in MXNet."""

import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.onnx_model.comparison import open_session, run_mxnet, run_session
from src.onnx_model.conversion import convert
from src.onnx_model.layer import Layer
from src.onnx_model.operators import CONVERTERS

IMAGE_SIZE = (9, 8)
SHAPE = (2, 3, *IMAGE_SIZE)
sym = mx.sym


def vector(data):
    """(N, 5) from (N, 3, 9, 8)."""
    return sym.FullyConnected(data, num_hidden=5, no_bias=True)


def halves(data):
    return sym.SliceChannel(sym.concat(data, data * 2), num_outputs=2)


def pooled(**settings):
    return lambda data: sym.Pooling(data, **settings)


def window(kind, stride, pad, **more):
    return pooled(pool_type=kind, kernel=(3, 3), stride=stride, pad=pad, **more)


# Functions of a symbol of shape (2, 3, 9, 8) with elements in -1.5..1.5, by the case's name.
CASES = {
    "convolution": lambda d: sym.Convolution(d, kernel=(3, 2), num_filter=4),
    "convolution_all": lambda d: sym.Convolution(
        sym.concat(d, d + 1),
        kernel=(3, 3), stride=(2, 1), pad=(0, 2), dilate=(2, 1), num_filter=4, num_group=2,
        no_bias=True, workspace=256, layout="NCHW",
    ),
    "fully_connected": lambda d: sym.FullyConnected(d, num_hidden=4),
    "fully_connected_flat": lambda d: sym.FullyConnected(vector(d), num_hidden=4, flatten=False),
    "batch_norm": lambda d: sym.BatchNorm(d, fix_gamma=False, eps=0.5, momentum=0.2),
    "batch_norm_fixed": lambda d: sym.BatchNorm(d),
    "batch_norm_vector": lambda d: sym.BatchNorm(vector(d), eps=2e-5, use_global_stats=True),
    **{
        kind: lambda d, kind=kind: sym.Activation(d, act_type=kind)
        for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")
    },
    "leaky": lambda d: sym.LeakyReLU(d, act_type="leaky"),
    "leaky_slope": lambda d: sym.LeakyReLU(d, slope=0.1),
    "elu": lambda d: sym.LeakyReLU(d, act_type="elu", slope=0.7),
    "prelu": lambda d: sym.LeakyReLU(d, act_type="prelu", name="act"),
    "prelu_vector": lambda d: sym.LeakyReLU(vector(d), act_type="prelu", name="act"),
    "prelu_one_slope": lambda d: sym.LeakyReLU(
        d, sym.var("act_gamma", shape=(1,)), act_type="prelu", name="act"
    ),
    "max": window("max", (2, 2), (1, 0)),
    "max_full": window("max", (2, 2), (1, 1), pooling_convention="full"),
    "avg": window("avg", (2, 2), (1, 1)),
    "avg_without_pad": window("avg", (2, 2), (1, 1), count_include_pad=False),
    "avg_full": window("avg", (2, 2), (0, 0), pooling_convention="full"),
    "avg_full_pad": window("avg", (2, 2), (1, 1), pooling_convention="full"),
    "avg_full_without_pad": window(
        "avg", (2, 2), (1, 1), pooling_convention="full", count_include_pad=False
    ),
    "max_global": pooled(pool_type="max", global_pool=True, kernel=(7, 7), pad=(1, 1)),
    "avg_global": pooled(pool_type="avg", global_pool=True),
    "flatten": sym.Flatten,
    "dropout": lambda d: sym.Dropout(d, p=0.4) + 1,
    "identity": lambda d: sym.identity(sym.BlockGrad(d)),
    "concat": lambda d: sym.concat(d, d * 2, d + 3, dim=2),
    "slice_channel": lambda d: halves(d)[1] - 3 * halves(d)[0],
    "slice_channel_axis": lambda d: sym.SliceChannel(d, num_outputs=3, axis=2)[2],
    "pad": lambda d: sym.pad(
        d, mode="constant", pad_width=(0, 0, 0, 0, 1, 0, 2, 3), constant_value=7
    ),
    "slice": lambda d: sym.slice(d, begin=(None, None, 1, -3), end=(None, None, None, 7)),
    "slice_axis": lambda d: sym.slice_axis(d, axis=1, begin=1, end=None),
    "slice_axis_end": lambda d: sym.slice_axis(d, axis=-1, begin=-5, end=-1),
    "reshape": lambda d: sym.Reshape(d, shape=(0, -1)),
    "reshape_batch": lambda d: sym.Reshape(sym.Reshape(d, shape=(-1, 6, 4)), shape=(-1, 9, 24)),
    "reshape_rest": lambda d: sym.Reshape(d, shape=(0, -2)),
    "reshape_all": lambda d: sym.Reshape(d, shape=(-2, 1)),
    "reshape_merge": lambda d: sym.Reshape(d, shape=(0, -3, 0)),
    "reshape_merge_batch": lambda d: sym.Reshape(
        sym.Reshape(d, shape=(-3, 0, 0)), shape=(-4, -1, 3, 0, 0)
    ),
    "reshape_split": lambda d: sym.Reshape(d, shape=(0, -4, -1, 1, -4, 3, -1, 0)),
    "tile": lambda d: sym.tile(sym.sum(d, axis=1, keepdims=True), reps=(1, 4, 1, 1)),
    "tile_last": lambda d: sym.tile(d, reps=(2, 3)),
    "sum": lambda d: sym.sum(d, axis=1),
    "sum_all": lambda d: sym.broadcast_div(d, sym.sum(d)),
    "mean_all": lambda d: sym.broadcast_mul(d, sym.mean(d)),
    "mean_keeps": lambda d: sym.broadcast_mul(d, sym.mean(d, keepdims=True)),
    "mean_axes": lambda d: sym.mean(d, axis=(2, 3)),
    "max_axis": lambda d: sym.max(d, axis=-1),
    "min_axis": lambda d: sym.min(d, axis=2, keepdims=True),
    "sqrt_square": lambda d: sym.sqrt(sym.square(d)),
    "scalars": lambda d: 3 / ((2 - (d - 0.5) * 4) / 8 + 10),
    "power": lambda d: (d * d) ** 1.5,
    "bounds": lambda d: sym.maximum(sym.minimum(d, 0.5), -0.25),
    "larger_smaller": lambda d: sym.maximum(d, -d) * sym.minimum(d, d * d),
    "elementwise": lambda d: (d + d * d - sym.sqrt(d * d)) / (d * d + 1),
    "add_n": lambda d: sym.add_n(d, d * 2, d * d),
    "broadcast": lambda d: sym.broadcast_sub(
        sym.broadcast_add(d, sym.max(d, axis=1, keepdims=True)), sym.sum(d, axis=2, keepdims=True)
    ),
    "broadcast_bounds": lambda d: sym.broadcast_maximum(
        sym.broadcast_minimum(d, sym.max(d * 0.5, axis=1, keepdims=True)),
        sym.mean(d, axis=3, keepdims=True),
    ),
}  # fmt: skip


def embedding(case):
    """The case's symbol as an embedding: flattened to (N, D) and named fc1."""
    return sym.Flatten(case(sym.var("data")), name="fc1")


def random_arrays(symbol, shape=SHAPE, seed=1):
    """Random (arg_params, aux_params) for a symbol."""
    random = np.random.RandomState(seed)
    shapes, _, states = symbol.infer_shape(data=shape)
    arguments, auxiliary = (
        {name: mx.nd.array(random.uniform(0.2, 1.2, size)) for name, size in pairs}
        for pairs in (
            zip(symbol.list_arguments(), shapes, strict=True),
            zip(symbol.list_auxiliary_states(), states, strict=True),
        )
    )
    del arguments["data"]
    return arguments, auxiliary


@pytest.mark.parametrize("name", CASES)
def test_operator(name):
    symbol = embedding(CASES[name])
    parameters = random_arrays(symbol)
    images = np.random.RandomState(2).uniform(-1.5, 1.5, SHAPE).astype(np.float32)
    # Converted first, because MXNet writes ones into a gamma that it does not use.
    model, _ = convert(symbol, *parameters, IMAGE_SIZE)
    expected = run_mxnet(symbol, *parameters, images)
    got = run_session(open_session(model.SerializeToString(), 1), images)
    # Sums in another order differ by float32 rounding, relative to the largest element.
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


def test_every_converter_is_tested():
    tested = set()
    for case in CASES.values():
        tested |= set(_operators(embedding(case)))
    assert tested == {*CONVERTERS}


def _operators(symbol):
    return {node["op"] for node in json.loads(symbol.tojson())["nodes"]} - {"null"}


UNSUPPORTED = {
    "unknown operator": (lambda d: sym.sin(d, name="wave"), "wave (sin)", "not supported"),
    "activation": (lambda d: sym.LeakyReLU(d, act_type="gelu", name="a"), "a (LeakyReLU)", "gelu"),
    "pooling": (window("sum", (1, 1), (0, 0), name="p"), "p (Pooling)", "pool_type=sum"),
    "convolution": (
        lambda d: sym.Convolution(sym.Reshape(d, shape=(0, 0, -1)), kernel=3, num_filter=2),
        "(Convolution)",
        "only (height, width)",
    ),
    "window": (
        window("max", (2, 5), (1, 1), pooling_convention="full", name="p"),
        "p (Pooling)",
        "outside the map",
    ),
    "axis": (lambda d: sym.BatchNorm(d, axis=3, name="b"), "b (BatchNorm)", "axis=3"),
    "dropout": (lambda d: sym.Dropout(d, mode="always", name="d"), "d (Dropout)", "always"),
    "steps": (
        lambda d: sym.slice(d, begin=(0, 0), end=(2, 3), step=(1, 2), name="s"),
        "s (slice)",
        "steps",
    ),
    "reshape": (
        lambda d: sym.Reshape(d, shape=(0, -1), reverse=True, name="r"),
        "r (Reshape)",
        "reverse=True",
    ),
    "reshape twice": (
        lambda d: sym.Reshape(sym.concat(d, d), shape=(-3, -1, 0), name="r"),
        "r (Reshape)",
        "more than one axis",
    ),
    "attribute": (lambda d: sym.mean(d, axis=1, exclude=True, name="m"), "m (mean)", "exclude"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_the_error_names_an_unsupported_layer(name):
    case, *words = UNSUPPORTED[name]
    symbol = embedding(case)
    with pytest.raises(InputError) as error:
        convert(symbol, *random_arrays(symbol), IMAGE_SIZE)
    for word in words:
        assert word in str(error.value)


def test_an_attribute_that_no_converter_reads_raises_an_error():
    layer = Layer(
        "Flatten", "flat", [], [], [], {"axis": "2", "__lr_mult__": "1", "workspace": "9"}
    )
    with pytest.raises(InputError, match=r"flat \(Flatten\).*axis=2"):
        layer.reject_unread()


def test_single_channel_convolutions_become_a_grouped_one():
    """As in 2018's Xception: a map is split, each channel convolved, and the results joined."""

    def separable(data):
        channels = sym.SliceChannel(data, num_outputs=3)
        rows = [
            sym.Convolution(channels[i], kernel=(3, 3), num_filter=1, name=f"row{i}")
            for i in range(3)
        ]
        return sym.concat(*rows)

    symbol = embedding(separable)
    parameters = random_arrays(symbol)
    images = np.random.RandomState(2).uniform(-1.5, 1.5, SHAPE).astype(np.float32)
    model, _ = convert(symbol, *parameters, IMAGE_SIZE)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Conv") == 1
    assert "Split" not in operators
    shapes = {array.name: tuple(array.dims) for array in model.graph.initializer}
    merged = [shape for name, shape in shapes.items() if "channel_groups" in name]
    assert sorted(merged) == [(3,), (3, 1, 3, 3)]
    assert {name for name in shapes if "channel_groups" not in name} == {
        name for name in parameters[0] if not name.startswith("row")
    }
    expected = run_mxnet(symbol, *parameters, images)
    got = run_session(open_session(model.SerializeToString(), 1), images)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
