"""Xception (Chollet, arXiv 1610.02357, figure 5) at half its width, x1, x2, …

The number after the letter has no effect, as in 2018.

In 2018 a depthwise convolution was one convolution per channel, each with its own weight and bias,
so a checkpoint has 23,000 parameters. The saved graph here is the same. The bound graph has one
grouped convolution instead, see `src.graphs.channel_groups`.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Sequence
from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import activation, batch_norm, get_fc1, scaled_pixels
from src.symbols.symbol_utils import convolution as plain_convolution

MIDDLE_BLOCKS = 8
# Channels by --version-input: of the first two convolutions, of each block of the entry flow, and
# of the exit flow's block and the two separable convolutions after it.
HALF_WIDTH = ((32, 64), (64, 128, 364), (512, 768, 1024))
PAPER_WIDTH = ((32, 64), (128, 256, 728), (1024, 1536, 2048))
CHANNELS = {0: HALF_WIDTH, 1: HALF_WIDTH, 2: PAPER_WIDTH}


def convolution(
    data: mx.sym.Symbol, num_filter: int, name: str, kernel: int = 1, stride: int = 1
) -> mx.sym.Symbol:
    """Convolution with bias: (N, C, H, W) -> (N, num_filter, H/stride, W/stride)."""
    return plain_convolution(data, num_filter, f"{name}_conv2d", kernel, stride, no_bias=False)


def normalised_convolution(
    data: mx.sym.Symbol, num_filter: int, name: str, bn_mom: float, kernel: int = 1, stride: int = 1
) -> mx.sym.Symbol:
    """Convolution and batch normalisation."""
    body = convolution(data, num_filter, name, kernel, stride)
    return batch_norm(body, f"{name}_bn", bn_mom)


def depthwise_convolution(data: mx.sym.Symbol, channels: int, name: str) -> mx.sym.Symbol:
    """One 3×3 convolution with bias for each channel, as in 2018; keeps (N, channels, H, W)."""
    apart = mx.sym.SliceChannel(data, num_outputs=channels, axis=1)
    convolved = [
        mx.sym.Convolution(
            apart[channel], num_filter=1, kernel=(3, 3), pad=(1, 1), name=f"{name}_{channel}"
        )
        for channel in range(channels)
    ]
    return mx.sym.concat(*convolved, dim=1, name=name)


def separable(
    data: mx.sym.Symbol, channels: int, num_filter: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """Depthwise convolution, convolution of 1×1, BN: (N, channels, H, W) -> (N, num_filter, H, W).

    There is nothing between the two convolutions (the paper's figure 10).
    """
    body = depthwise_convolution(data, channels, f"{name}_depthwise_kernel")
    body = convolution(body, num_filter, f"{name}_pointwise_kernel")
    return batch_norm(body, f"{name}_bn", bn_mom)


def activated_separable(
    data: mx.sym.Symbol, channels: int, num_filter: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """ReLU and `separable`."""
    return separable(activation(data, f"{name}_relu", "relu"), channels, num_filter, name, bn_mom)


def halving_block(
    data: mx.sym.Symbol,
    widths: tuple[int, int, int],
    name: str,
    bn_mom: float,
    activated: bool = True,
) -> mx.sym.Symbol:
    """Two separable convolutions and a pooling, plus a strided convolution of the input.

    (N, C, H, W) -> (N, widths[2], H/2, W/2)

    Parameters
    ----------
    widths
        Channels before, between and after the separable convolutions.
    activated
        Whether to apply ReLU first.
    """
    before, between, after = widths
    first = activated_separable if activated else separable
    body = first(data, before, between, f"{name}_sepconv1", bn_mom)
    body = activated_separable(body, between, after, f"{name}_sepconv2", bn_mom)
    body = mx.sym.Pooling(
        body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name=f"{name}_pool"
    )
    return body + normalised_convolution(data, after, f"{name}_conv1", bn_mom, stride=2)


def entry_flow(
    channels: Sequence[int], blocks: Sequence[int], stride: int, bn_mom: float
) -> mx.sym.Symbol:
    """Pixels (N, 3, 112, 112) -> (N, blocks[-1], 14, 14); (N, blocks[-1], 7, 7) at stride 2."""
    data = scaled_pixels(mx.sym.var("data"))
    for number, num_filter in enumerate(channels, 1):
        name = f"Entry_flow_b1_conv{number}"
        data = normalised_convolution(
            data, num_filter, name, bn_mom, kernel=3, stride=stride if number == 1 else 1
        )
        data = activation(data, f"{name}_relu", "relu")
    before = channels[-1]
    for number, num_filter in enumerate(blocks, 2):
        widths = (before, num_filter, num_filter)
        # The first block's input is already activated.
        data = halving_block(data, widths, f"Entry_flow_b{number}", bn_mom, number > 2)
        before = num_filter
    return data


def middle_flow(data: mx.sym.Symbol, channels: int, bn_mom: float) -> mx.sym.Symbol:
    """Residual blocks of three separable convolutions; keeps the shape of data."""
    for block in range(MIDDLE_BLOCKS):
        body = data
        for number in (1, 2, 3):
            name = f"Middle_flow_block_{block}_sepconv{number}"
            body = activated_separable(body, channels, channels, name, bn_mom)
        data = body + data
    return data


def exit_flow(
    data: mx.sym.Symbol, before: int, channels: Sequence[int], bn_mom: float
) -> mx.sym.Symbol:
    """(N, before, H, W) -> (N, channels[-1], H/2, W/2)"""
    body = halving_block(data, (before, before, channels[0]), "Exit_flow_b5", bn_mom)
    for number in (1, 2):
        name = f"Exit_flow_b6_sepconv{number}"
        body = separable(body, channels[number - 1], channels[number], name, bn_mom)
        body = activation(body, f"{name}_relu", "relu")
    return body


def get_symbol(
    num_classes: int,
    num_layers: int = 1,
    version_input: int = 1,
    version_output: str = "E",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """An Xception up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        Has no effect.
    version_input
        1: a first convolution of stride 1, for photos of 112×112; 0: stride 2, as in the paper; 2:
        stride 1, and the paper's width, which is twice as large.
    version_output
        The head, see `symbol_utils.get_fc1`.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a version that does not exist.
    """
    SPEC.check(num_layers, input=version_input)
    first, blocks, last = CHANNELS[version_input]
    body = entry_flow(first, blocks, 2 if version_input == 0 else 1, bn_mom)
    # (N, blocks[-1], 14, 14)
    body = middle_flow(body, blocks[-1], bn_mom)
    # (N, last[-1], 7, 7)
    body = exit_flow(body, blocks[-1], last, bn_mom)
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="x",
    family="Xception",
    paper="1610.02357",
    build=get_symbol,
    rows=[Row("x1")],
    versions={"input": tuple(CHANNELS)},
    rnd_type="gaussian",
)
