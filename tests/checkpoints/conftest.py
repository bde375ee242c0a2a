"""A network that is quick to build, and its parameters."""

import numpy as np
import pytest

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


class Tiny:
    """The two functions, for tests."""

    symbol = staticmethod(tiny_symbol)
    parameters = staticmethod(tiny_parameters)


@pytest.fixture(scope="session")
def tiny():
    """`symbol(classes=3)` and `parameters(classes=3, seed=0)` of a network of 8×8 images."""
    return Tiny
