"""Concatenations inside a block of channels: the same function, and gradients for NASNet."""

import json
from collections import Counter

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.graphs.plain_concat import plain_concatenations
from src.symbols import fnasnet
from src.symbols.table import build_embedding

PHOTO = (1, 3, 112, 112)


def operators(symbol):
    return Counter(node["op"] for node in json.loads(symbol.tojson())["nodes"])


def convolution(data, num_filter, name, kernel=1):
    return mx.sym.Convolution(
        data, num_filter=num_filter, kernel=(kernel, kernel), no_bias=True, name=name
    )


def two_maps(first, second):
    """A convolution of two concatenated maps."""
    data = mx.sym.var("data")
    maps = [convolution(data, first, "a"), convolution(data, second, "b", kernel=1)]
    return convolution(mx.sym.concat(*maps, dim=1, name="both"), 8, "last")


def run(symbol, shape, seed=0, dtype="float32"):
    """(output, {parameter: its gradient}) of a training step; equal names get equal values."""
    types = dict.fromkeys(symbol.list_arguments(), dtype)
    executor = symbol.simple_bind(mx.cpu(), data=shape, grad_req="write", type_dict=types)
    random = np.random.RandomState(seed)
    for name in sorted(executor.arg_dict):
        array = executor.arg_dict[name]
        value = random.randn(*array.shape) / np.sqrt(np.prod(array.shape[1:]))
        if name == "data":
            value = random.randint(0, 256, array.shape)
        elif name.endswith("_gamma"):
            value = random.uniform(0.5, 1, array.shape)
        array[:] = value
    (output,) = executor.forward(is_train=True)
    executor.backward(mx.nd.array(random.randn(*output.shape), dtype=dtype))
    return output.asnumpy(), {k: v.asnumpy() for k, v in executor.grad_dict.items()}


def compare(got, wanted, name, tolerance):
    atol = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=atol, err_msg=name)


def test_function_and_gradients_are_equal():
    """Compared with float64, for which oneDNN is not used: the stock graph can kill the process."""
    symbol = two_maps(5, 19)
    plain = plain_concatenations(symbol)
    assert operators(plain)["expand_dims"] == 2
    assert plain.list_arguments() == symbol.list_arguments()
    assert plain.list_outputs() == symbol.list_outputs()
    assert "both_output" in plain.get_internals().list_outputs()
    wanted, wanted_gradients = run(symbol, (2, 3, 7, 6), dtype="float64")
    got, gradients = run(plain, (2, 3, 7, 6))
    compare(got, wanted, "output", 1e-6)
    for name, gradient in wanted_gradients.items():
        compare(gradients[name], gradient, name, 1e-5)


@pytest.mark.parametrize(
    "symbol",
    [
        two_maps(16, 48),
        mx.sym.BatchNorm(mx.sym.concat(mx.sym.var("data"), mx.sym.var("data"), dim=1)),
        mx.sym.concat(mx.sym.Flatten(mx.sym.var("data")), mx.sym.Flatten(mx.sym.var("data"))) * 2,
        mx.sym.concat(mx.sym.var("data"), mx.sym.var("data"), dim=2) * 2,
    ],
    ids=["whole blocks", "before a normalisation", "not maps", "along the height"],
)
def test_other_concatenations_are_left_alone(symbol):
    assert plain_concatenations(symbol) is symbol


@pytest.mark.parametrize(
    ("network", "rewritten"), [("d121", 0), ("p92", 0), ("i2", 0), ("y1", 0), ("n1", 8)]
)
def test_only_nasnet_is_rewritten(network, rewritten):
    symbol = build_embedding(network, 128, version_output="GDC" if network == "y1" else "E")
    plain = plain_concatenations(symbol)
    assert operators(plain)["Reshape"] == rewritten
    assert plain.list_arguments() == symbol.list_arguments()
    assert plain.list_auxiliary_states() == symbol.list_auxiliary_states()


def test_the_first_cell_of_nasnet_trains():
    """Compared with float64 too; in float32 the stock graph fails on a CPU with AVX-512."""
    cell, _ = fnasnet.stem(fnasnet.Layers())
    symbol = convolution(cell, 168, "last")
    wanted, wanted_gradients = run(symbol, PHOTO, dtype="float64")
    got, gradients = run(plain_concatenations(symbol), PHOTO)
    compare(got, wanted, "output", 1e-4)
    assert set(gradients) == set(wanted_gradients)
    for name, gradient in wanted_gradients.items():
        compare(gradients[name], gradient, name, 1e-3)
