"""Grouped convolutions instead of one per channel: equal outputs and gradients, nothing else."""

import json
from collections import Counter

import numpy as np
import pytest

from src.checkpoints.binding import bind_embedding
from src.common.mxnet_backend import mx
from src.graphs.bound import BoundGraph
from src.graphs.channel_groups import merge_channels
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.symbols.fxception import convolution, depthwise_convolution, separable
from src.symbols.table import build_embedding

SIZE = (2, 3, 9, 9)


def operators(symbol):
    return Counter(node["op"] for node in json.loads(symbol.tojson())["nodes"])


def small_network(channels=5):
    """Two separable convolutions, of `channels` and of 4 channels."""
    body = convolution(mx.sym.var("data"), channels, "first", kernel=3)
    body = separable(body, channels, 4, "middle", 0.9)
    return separable(mx.sym.Activation(body, act_type="tanh"), 4, 3, "last", 0.9)


def bound(symbol):
    """The symbol with merged parameters, and how to convert them."""
    return BoundGraph(symbol, on_cpu=False, for_training=True)


def random_parameters(symbol, seed=0):
    """Arrays for all arguments of a symbol, in the order of their names."""
    random = np.random.RandomState(seed)
    shapes, _, _ = symbol.infer_shape(data=SIZE)
    by_name = sorted(zip(symbol.list_arguments(), shapes, strict=True))
    return {name: mx.nd.array(random.randn(*shape), dtype="float64") for name, shape in by_name}


def run(symbol, arrays, dtype="float32"):
    """(output, {parameter: its gradient}) of a training step.

    oneDNN can kill the process when it splits the gradient of a concatenation of single channels;
    for float64 it is not used.
    """
    types = dict.fromkeys(symbol.list_arguments(), dtype)
    executor = symbol.simple_bind(mx.cpu(), data=SIZE, grad_req="write", type_dict=types)
    for name, array in executor.arg_dict.items():
        array[:] = arrays[name].astype(dtype)
    (output,) = executor.forward(is_train=True)
    upstream = np.random.RandomState(1).randn(*output.shape)
    executor.backward(mx.nd.array(upstream, dtype=dtype))
    return output.asnumpy(), executor.grad_dict


def as_numpy(arrays):
    return {name: array.asnumpy() for name, array in arrays.items()}


@pytest.mark.parametrize("channels", [1, 5, 32])
def test_outputs_and_gradients_are_equal(channels):
    literal = small_network(channels)
    grouped = bound(literal)
    assert operators(literal)["Convolution"] == 1 + channels + 1 + 4 + 1
    assert operators(grouped.symbol)["Convolution"] == 1 + 2 * (1 + 1)
    assert operators(grouped.symbol)["SliceChannel"] == 0
    arrays = random_parameters(literal)
    wanted, wanted_gradients = run(literal, arrays, "float64")
    wanted_gradients = as_numpy(wanted_gradients)
    got, gradients = run(grouped.symbol, grouped.merge(arrays))
    gradients = as_numpy(grouped.split(gradients))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert set(gradients) == set(wanted_gradients)
    for name, gradient in wanted_gradients.items():
        assert gradients[name].shape == gradient.shape
        # A bias before a batch normalisation has a gradient of 0, up to rounding.
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-4 * scale)
    weights = [k for k in gradients if "depthwise" in k and k.endswith("weight")]
    assert len(weights) == channels + 4
    assert all(np.abs(gradients[name]).max() > 1e-3 for name in weights)


def test_names_and_shapes_survive_a_round_trip():
    literal = small_network()
    grouped = bound(literal)
    assert grouped.symbol.list_outputs() == literal.list_outputs()
    assert grouped.symbol.list_auxiliary_states() == literal.list_auxiliary_states()
    arrays = random_parameters(literal)
    assert arrays["middle_depthwise_kernel_3_weight"].shape == (1, 1, 3, 3)
    assert arrays["middle_depthwise_kernel_3_bias"].shape == (1,)
    merged = grouped.merge(arrays)
    assert set(merged) == set(grouped.symbol.list_arguments())
    assert sorted(array.shape for name, array in merged.items() if "channel_groups" in name) == [
        (4,), (4, 1, 3, 3), (5,), (5, 1, 3, 3)
    ]  # fmt: skip
    back = grouped.split(merged)
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name].asnumpy(), array.asnumpy())


def test_incomplete_parameters_are_left_as_they_are():
    """Some may be missing in a checkpoint: they are reported and initialised under their names."""
    literal = small_network()
    arrays = random_parameters(literal)
    del arrays["middle_depthwise_kernel_3_bias"]
    merged = bound(literal).merge(arrays)
    assert "middle_depthwise_kernel_3_weight" not in merged
    assert merged["middle_depthwise_kernel_2_bias"] is arrays["middle_depthwise_kernel_2_bias"]
    assert not any(
        "channel_groups" in name and "bias" in name and "middle" in name for name in merged
    )


def row(parts, settings=None, dim=1):
    """Concatenated convolutions of the parts of a map; `settings` by index of single ones."""
    convolved = [
        mx.sym.Convolution(
            part,
            **{"num_filter": 1, "kernel": (3, 3), "pad": (1, 1), **(settings or {}).get(i, {})},
            name=f"part{i}",
        )
        for i, part in enumerate(parts)
    ]
    return mx.sym.concat(*convolved, dim=dim)


def parts_of(data, axis=1):
    return list(mx.sym.SliceChannel(data, num_outputs=3, axis=axis))


@pytest.mark.parametrize(
    "make",
    [
        lambda parts, data: row(parts[::-1]),
        lambda parts, data: row([parts[0], parts[0], parts[1]]),
        lambda parts, data: row(parts[:2]),
        lambda parts, data: row(parts, {1: {"kernel": (1, 1), "pad": (0, 0)}}),
        lambda parts, data: row(parts, {2: {"no_bias": True}}),
        lambda parts, data: row(parts, dim=2),
        lambda parts, data: row(parts) + parts[0],
        lambda parts, data: mx.sym.Group([row(parts), parts[1]]),
        lambda parts, data: mx.sym.concat(data, data),
        lambda parts, data: mx.sym.concat(*parts),
    ],
    ids=["reversed", "one twice", "two of three", "other kernel", "one without bias", "below",
         "a part is used", "a part is an output", "no convolution", "only concatenated"],
)  # fmt: skip
def test_other_concatenations_are_left_alone(make):
    data = mx.sym.var("data")
    symbol = make(parts_of(data), data)
    merged, parts = merge_channels(symbol)
    assert merged is symbol
    assert parts == {}


def test_slices_of_rows_of_pixels_are_left_alone():
    symbol = row(parts_of(mx.sym.var("data"), axis=2), dim=1)
    merged, parts = merge_channels(symbol)
    assert merged is symbol
    assert parts == {}


def test_wider_parts_and_filters_are_grouped_too():
    """Not in 2018's graphs: three groups, each from two channels to four filters."""
    data = convolution(mx.sym.var("data"), 6, "first")
    literal = row(parts_of(data), {part: {"num_filter": 4} for part in range(3)})
    grouped = bound(literal)
    assert operators(grouped.symbol)["Convolution"] == 2
    arrays = random_parameters(literal)
    wanted, wanted_gradients = run(literal, arrays, "float64")
    got, gradients = run(grouped.symbol, grouped.merge(arrays))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    gradients = as_numpy(grouped.split(gradients))
    for name, gradient in as_numpy(wanted_gradients).items():
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-4 * scale)


def test_a_parameter_that_is_used_elsewhere_too_is_not_merged():
    data = mx.sym.var("data")
    body = row(parts_of(data))
    shared = body.get_internals()["part1_weight"]
    symbol = body + mx.sym.sum(shared)
    merged, parts = merge_channels(symbol)
    assert merged is symbol
    assert parts == {}


def test_a_network_without_such_convolutions_is_not_changed():
    symbol = build_embedding("m1", 128)
    merged, parts = merge_channels(symbol)
    assert merged is symbol
    assert parts == {}


def test_xception_has_a_grouped_convolution_for_each_depthwise_one():
    symbol = ArcFace().head(build_embedding("x1", 128), ClassWeights(20, 128))
    grouped, parts = merge_channels(symbol)
    assert operators(symbol)["Convolution"] == 11596
    assert operators(grouped)["Convolution"] == 2 + 4 + 2 * 34
    arguments = [part for name in grouped.list_arguments() for part in parts.get(name, [name])]
    assert sorted(arguments) == sorted(symbol.list_arguments())
    arguments, _, _ = grouped.infer_shape(data=(2, 3, 112, 112))
    assert all(arguments)
    text = grouped.tojson()
    assert mx.sym.load_json(text).list_outputs() == symbol.list_outputs()


def test_one_depthwise_convolution_computed_by_hand():
    """Each channel has its own kernel and bias, and is padded with zeros."""
    grouped = bound(depthwise_convolution(mx.sym.var("data"), 3, "kernel"))
    random = np.random.RandomState(1)
    photo = random.randn(*SIZE).astype(np.float32)
    kernels = random.randn(3, 3, 3).astype(np.float32)
    biases = random.randn(3).astype(np.float32)
    arrays = {"data": mx.nd.array(photo)}
    for channel in range(3):
        arrays[f"kernel_{channel}_weight"] = mx.nd.array(kernels[channel][None, None])
        arrays[f"kernel_{channel}_bias"] = mx.nd.array(biases[channel : channel + 1])
    (got,) = grouped.symbol.bind(mx.cpu(), grouped.merge(arrays)).forward(is_train=False)
    padded = np.pad(photo, ((0, 0), (0, 0), (1, 1), (1, 1)))
    wanted = np.zeros(SIZE)
    for y in range(3):
        for x in range(3):
            window = padded[:, :, y : y + SIZE[2], x : x + SIZE[3]]
            wanted += window * kernels[:, y, x][None, :, None, None]
    wanted += biases[None, :, None, None]
    np.testing.assert_allclose(got.asnumpy(), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_bound_xception_gives_the_same_as_the_saved_one():
    symbol = build_embedding("x1", 64, version_input=0)
    shapes, _, states = symbol.infer_shape(data=(2, 3, 112, 112))
    random = np.random.RandomState(0)
    arrays = {}
    for name, shape in zip(symbol.list_arguments(), shapes, strict=True):
        scale = 1 / np.sqrt(np.prod(shape[1:])) if name.endswith("_weight") else 0.1
        value = random.randint(0, 256, shape) if name == "data" else random.randn(*shape) * scale
        arrays[name] = mx.nd.array(1 + value if name.endswith("_gamma") else value)
    auxiliary = {
        name: mx.nd.array(random.uniform(0.5, 1, shape))
        for name, shape in zip(symbol.list_auxiliary_states(), states, strict=True)
    }
    literal = symbol.bind(mx.cpu(), arrays, aux_states=auxiliary, grad_req="null")
    wanted = literal.forward(is_train=False)[0].asnumpy()
    data = mx.io.DataBatch([arrays.pop("data")])
    module = bind_embedding(symbol, arrays, auxiliary, mx.cpu(), 2, (112, 112))
    # The photos are noise, so the embeddings differ little, but by 100 times the tolerance.
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3 * np.abs(wanted).max()
    for _ in range(2):
        module.forward(data, is_train=False)
        got = module.get_outputs()[0].asnumpy()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
