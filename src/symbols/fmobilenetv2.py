"""MobileNetV2 (Sandler et al., arXiv 1801.04381, table 2), m2, m3, …

Differences from the paper: the first stride is in the second bottleneck, so that a 112×112 photo
ends as a map of 7×7; ReLU replaces ReLU6; a bottleneck that changes the number of channels at
stride 1 has a shortcut with a convolution; and the expanded width of all bottlenecks in a stage is
a multiple of the number of channels at its start.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.gluon_layers import gluon_batch_norm, gluon_convolution, gluon_relu
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import get_fc1, scaled_pixels

# For each stage: expansion, output channels, bottlenecks, stride of the first one.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 1),
    (6, 96, 3, 2),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST_CHANNELS = 32
LAST_CHANNELS = 1280


def normalised_convolution(
    data: mx.sym.Symbol, num_filter: int, name: str, number: int, bn_mom: float, **settings: int
) -> mx.sym.Symbol:
    """Convolution and batch normalisation; `number` is part of their names."""
    body = gluon_convolution(data, num_filter, f"{name}conv{number}", **settings)
    return gluon_batch_norm(body, f"{name}batchnorm{number}", bn_mom)


def bottleneck(
    data: mx.sym.Symbol,
    expanded: int,
    num_filter: int,
    stride: int,
    same_shape: bool,
    name: str,
    bn_mom: float,
) -> mx.sym.Symbol:
    """Inverted residual (fig. 4 of the paper).

    (N, C, H, W) -> (N, num_filter, H/stride, W/stride), with `expanded` channels in between.
    """
    body = normalised_convolution(data, expanded, name, 0, bn_mom)
    body = gluon_relu(body, f"{name}relu0")
    body = normalised_convolution(
        body, expanded, name, 1, bn_mom, kernel=3, stride=stride, pad=1, num_group=expanded
    )
    body = gluon_relu(body, f"{name}relu1")
    body = normalised_convolution(body, num_filter, name, 2, bn_mom)
    if stride > 1:
        return body
    shortcut = data
    if not same_shape:
        shortcut = normalised_convolution(data, num_filter, name, 3, bn_mom)
        shortcut = gluon_relu(shortcut, f"{name}relu2")
    return body + shortcut


def get_symbol(
    num_classes: int, num_layers: int = 2, bn_mom: float = 0.9, **unused: Any
) -> mx.sym.Symbol:
    """MobileNetV2 up to its embedding, a symbol of shape (N, num_classes) named fc1.

    2018: it always ends in head E, whatever --version-output is, and has no other versions.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        2018: m2, m3, … are the same network.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.
    """
    # (N, 3, 112, 112)
    body = scaled_pixels(mx.sym.var("data"))
    # (N, 32, 112, 112)
    channels = FIRST_CHANNELS
    body = normalised_convolution(body, channels, "", 0, bn_mom, kernel=3, pad=1)
    body = gluon_relu(body, "relu0")
    # (N, 16, 112, 112), (N, 24, 56, 56), (N, 32, 28, 28), (N, 64, 28, 28),
    # (N, 96, 14, 14), (N, 160, 7, 7), (N, 320, 7, 7)
    number = 0
    for expansion, num_filter, count, stride in STAGES:
        for block in range(count):
            body = bottleneck(
                body,
                expansion * channels,
                num_filter,
                stride if block == 0 else 1,
                same_shape=block > 0,
                name=f"invertedresidual{number}_",
                bn_mom=bn_mom,
            )
            number += 1
        channels = num_filter
    # (N, 1280, 7, 7)
    last = "mobilenetv20_hybridsequential0_"
    body = normalised_convolution(body, LAST_CHANNELS, last, 0, bn_mom)
    body = gluon_relu(body, f"{last}relu0")
    return get_fc1(body, num_classes, "E", bn_mom)


SPEC = NetworkSpec(
    letter="m",
    family="MobileNetV2",
    paper="1801.04381",
    build=get_symbol,
    rows=[Row("m2")],
)
