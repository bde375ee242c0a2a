"""MobileFaceNet (Chen et al., arXiv 1804.07573), as trained in 2018 with twice the channels."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import (
    activated_convolution,
    get_fc1,
    linear_convolution,
    scaled_pixels,
)

OUTPUTS = ("GNAP", "GDC")


def bottleneck(
    data: mx.sym.Symbol, num_filter: int, num_group: int, stride: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """Inverted residual without its shortcut (MobileNetV2, arXiv 1801.04381, fig. 3).

    (N, C, H, W) -> (N, num_filter, H/stride, W/stride), with num_group channels in between.
    """
    body = activated_convolution(data, num_group, f"{name}_conv_sep", bn_mom=bn_mom)
    body = activated_convolution(
        body,
        num_group,
        f"{name}_conv_dw",
        kernel=3,
        stride=stride,
        pad=1,
        num_group=num_group,
        bn_mom=bn_mom,
    )
    return linear_convolution(body, num_filter, f"{name}_conv_proj", bn_mom=bn_mom)


def residuals(
    data: mx.sym.Symbol, blocks: int, num_filter: int, num_group: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """`blocks` bottlenecks of stride 1, each with its shortcut; keeps the shape of data."""
    for block in range(blocks):
        data = bottleneck(data, num_filter, num_group, 1, f"{name}_block{block}", bn_mom) + data
    return data


def get_symbol(
    num_classes: int,
    num_layers: int = 1,
    version_output: str = "GNAP",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """MobileFaceNet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        2018: y1, y2, … are the same network.
    version_output
        GNAP or GDC
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For any other head, as in 2018.
    """
    if version_output not in OUTPUTS:
        raise InputError(
            f"--version-output {version_output}: a y network needs --version-output "
            f"{' or '.join(OUTPUTS)}"
        )
    # (N, 3, 112, 112)
    body = scaled_pixels(mx.sym.var("data"))
    # (N, 64, 56, 56)
    body = activated_convolution(body, 64, "conv_1", kernel=3, stride=2, pad=1, bn_mom=bn_mom)
    body = activated_convolution(
        body, 64, "conv_2_dw", kernel=3, pad=1, num_group=64, bn_mom=bn_mom
    )
    # (N, 64, 28, 28)
    body = bottleneck(body, 64, 128, 2, "dconv_23", bn_mom)
    body = residuals(body, 4, 64, 128, "res_3", bn_mom)
    # (N, 128, 14, 14)
    body = bottleneck(body, 128, 256, 2, "dconv_34", bn_mom)
    body = residuals(body, 6, 128, 256, "res_4", bn_mom)
    # (N, 128, 7, 7)
    body = bottleneck(body, 128, 512, 2, "dconv_45", bn_mom)
    body = residuals(body, 2, 128, 256, "res_5", bn_mom)
    # (N, 512, 7, 7)
    body = activated_convolution(body, 512, "conv_6sep", bn_mom=bn_mom)
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="y",
    family="MobileFaceNet",
    paper="1804.07573",
    build=get_symbol,
    rows=[
        Row(
            "y1",
            "GDC",
            published="MobileFaceNet (`model-y1-test2`)",
            accuracy="LFW 99.50, CFP-FP 88.94, AgeDB-30 95.9 (a)",
        ),
        Row("y1", "GNAP", note="the same, another head"),
    ],
    rnd_type="gaussian",
    factor_type="out",
    embedding_size=128,
    version_output="GDC",
)
