"""One grouped convolution for one a channel: equal outputs and gradients, nothing else grouped."""

import json
from collections import Counter

import numpy as np
import pytest

from src.common.checkpoints import bind_embedding
from src.common.mxnet_backend import mx
from src.symbols.channel_groups import group_channels
from src.symbols.fxception import convolution, depthwise_convolution, separable
from src.training.heads import classification_head
from src.training.networks import build_embedding

SIZE = (2, 3, 9, 9)


def operators(symbol):
    return Counter(node["op"] for node in json.loads(symbol.tojson())["nodes"])


def small_network(channels=5):
    """Two separable convolutions, of `channels` and of 4 channels."""
    body = convolution(mx.sym.var("data"), channels, "first", kernel=3)
    body = separable(body, channels, 4, "middle", 0.9)
    return separable(mx.sym.Activation(body, act_type="tanh"), 4, 3, "last", 0.9)


def run(symbol, dtype="float32", seed=0):
    """(output, {parameter: its gradient}) of a training step, the same for the same names.

    With 64 bits oneDNN has no part in it, which can kill the process when it takes apart the
    gradient of a concatenation of single channels.
    """
    types = dict.fromkeys(symbol.list_arguments(), dtype)
    executor = symbol.simple_bind(mx.cpu(), data=SIZE, grad_req="write", type_dict=types)
    random = np.random.RandomState(seed)
    for name in sorted(executor.arg_dict):
        executor.arg_dict[name][:] = random.randn(*executor.arg_dict[name].shape)
    (output,) = executor.forward(is_train=True)
    executor.backward(mx.nd.array(random.randn(*output.shape), dtype=dtype))
    return output.asnumpy(), {k: v.asnumpy() for k, v in executor.grad_dict.items()}


@pytest.mark.parametrize("channels", [1, 5, 32])
def test_outputs_and_gradients_are_equal(channels):
    literal = small_network(channels)
    grouped = group_channels(literal)
    assert operators(literal)["Convolution"] == 1 + channels + 1 + 4 + 1
    assert operators(grouped)["Convolution"] == 1 + 2 * (1 + 1)
    assert operators(grouped)["SliceChannel"] == 0
    wanted, wanted_gradients = run(literal, "float64")
    got, gradients = run(grouped)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert set(gradients) == set(wanted_gradients)
    for name, gradient in wanted_gradients.items():
        assert gradients[name].shape == gradient.shape
        # A bias before a batch normalisation has a gradient of 0, but for rounding.
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-4 * scale)
    weights = [k for k in gradients if "depthwise" in k and k.endswith("weight")]
    assert len(weights) == channels + 4
    assert all(np.abs(gradients[name]).max() > 1e-3 for name in weights)


def test_names_and_shapes_stay():
    literal = small_network()
    grouped = group_channels(literal)
    assert grouped.list_outputs() == literal.list_outputs()
    assert grouped.list_auxiliary_states() == literal.list_auxiliary_states()
    shapes = [
        dict(zip(s.list_arguments(), s.infer_shape(data=SIZE)[0], strict=True))
        for s in (literal, grouped)
    ]
    assert shapes[0] == shapes[1]
    assert shapes[0]["middle_depthwise_kernel_3_weight"] == (1, 1, 3, 3)
    assert shapes[0]["middle_depthwise_kernel_3_bias"] == (1,)


def row(parts, settings=None, dim=1):
    """Convolutions of the parts of a map, concatenated; `settings` of single ones."""
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
         "a part is used", "a part is an output", "no convolution", "only put together"],
)  # fmt: skip
def test_what_is_no_such_row_is_left_alone(make):
    data = mx.sym.var("data")
    symbol = make(parts_of(data), data)
    assert group_channels(symbol) is symbol


def test_slices_of_rows_of_pixels_are_left_alone():
    symbol = row(parts_of(mx.sym.var("data"), axis=2), dim=1)
    assert group_channels(symbol) is symbol


def test_wider_parts_and_filters_are_grouped_too():
    """Not of 2018: two channels to each of three groups, four filters from each."""
    data = convolution(mx.sym.var("data"), 6, "first")
    literal = row(parts_of(data), {part: {"num_filter": 4} for part in range(3)})
    grouped = group_channels(literal)
    assert operators(grouped)["Convolution"] == 2
    for wanted, got in zip(run(literal, "float64"), run(grouped), strict=True):
        if isinstance(wanted, dict):
            wanted, got = (np.concatenate([d[k].ravel() for k in sorted(d)]) for d in (wanted, got))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_a_network_without_such_convolutions_is_itself():
    symbol = build_embedding("m1", 128)
    assert group_channels(symbol) is symbol


def test_xception_has_a_grouped_convolution_for_each_depthwise_one():
    symbol = classification_head(build_embedding("x1", 128), 20, 4)
    grouped = group_channels(symbol)
    assert operators(symbol)["Convolution"] == 11596
    assert operators(grouped)["Convolution"] == 2 + 4 + 2 * 34
    assert set(grouped.list_arguments()) == set(symbol.list_arguments())
    arguments, _, _ = grouped.infer_shape(data=(2, 3, 112, 112))
    assert all(arguments)
    text = grouped.tojson()
    assert mx.sym.load_json(text).list_outputs() == symbol.list_outputs()


def test_one_depthwise_convolution_by_hand():
    """Channel by channel, with its own kernel and bias, zeros around."""
    symbol = group_channels(depthwise_convolution(mx.sym.var("data"), 3, "kernel"))
    random = np.random.RandomState(1)
    photo = random.randn(*SIZE).astype(np.float32)
    kernels = random.randn(3, 3, 3).astype(np.float32)
    biases = random.randn(3).astype(np.float32)
    arrays = {"data": mx.nd.array(photo)}
    for channel in range(3):
        arrays[f"kernel_{channel}_weight"] = mx.nd.array(kernels[channel][None, None])
        arrays[f"kernel_{channel}_bias"] = mx.nd.array(biases[channel : channel + 1])
    (got,) = symbol.bind(mx.cpu(), arrays).forward(is_train=False)
    padded = np.pad(photo, ((0, 0), (0, 0), (1, 1), (1, 1)))
    wanted = np.zeros(SIZE)
    for y in range(3):
        for x in range(3):
            window = padded[:, :, y : y + SIZE[2], x : x + SIZE[3]]
            wanted += window * kernels[:, y, x][None, :, None, None]
    wanted += biases[None, :, None, None]
    np.testing.assert_allclose(got.asnumpy(), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_bound_xception_gives_what_the_saved_one_does():
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
    # The photos are noise, of which not much is left; it is 100 times what may differ.
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3 * np.abs(wanted).max()
    for _ in range(2):
        module.forward(data, is_train=False)
        got = module.get_outputs()[0].asnumpy()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
