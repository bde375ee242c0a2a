"""NASNet-A, large (Zoph et al., arXiv 1707.07012, figure 4), n1, n2, …

The number after the letter has no effect, as in 2018. The first convolution has stride 1 instead of
the paper's 2. Layers are numbered in the order in which they are created, and parameters are named
after that number.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.gluon_layers import gluon_batch_norm, gluon_convolution, gluon_relu
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import get_fc1, scaled_pixels

FIRST_CHANNELS = 96
STEM_CHANNELS = (42, 84)  # of each convolution in the two reduction cells of the stem
STAGE_CHANNELS = (168, 336, 672)  # of each convolution in a stage's cells
CELLS = 6  # in a stage, in addition to its reduction cell
# 2018: fixed, whatever --bn-mom is. In PyTorch this number is the weight of the *new* batch; in
# MXNet it is the weight of the old average, so the statistics are roughly those of the last batch.
BN_MOMENTUM = 0.1
BN_EPSILON = 1e-3

# Width of the padding before and after each of N, C, H, W.
BEFORE = (0, 0, 0, 0, 1, 0, 1, 0)
AFTER = (0, 0, 0, 0, 0, 1, 0, 1)


def padded(data: mx.sym.Symbol, width: tuple[int, ...]) -> mx.sym.Symbol:
    """`data` with one more row and column of zeros, BEFORE or AFTER."""
    return mx.sym.pad(data, mode="constant", constant_value=0, pad_width=width)


def without_first(data: mx.sym.Symbol) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, C, H-1, W-1), without the first row and column."""
    return mx.sym.slice(data, begin=(None, None, 1, 1), end=(None, None, None, None))


def pooled(
    data: mx.sym.Symbol, pool_type: str, stride: int = 1, kernel: int = 3, shifted: bool = False
) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, C, H/stride, W/stride), the maximum or average of windows."""
    body = mx.sym.Pooling(
        padded(data, BEFORE) if shifted else data,
        pool_type=pool_type,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
    )
    return without_first(body) if shifted else body


class Layers:
    """Creates the network's layers, and numbers each kind separately."""

    def __init__(self) -> None:
        self.made = {"conv": 0, "batchnorm": 0, "relu": 0}

    def name(self, kind: str) -> str:
        """The next of conv0, conv1, …"""
        number = self.made[kind]
        self.made[kind] += 1
        return f"{kind}{number}"

    def relu(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """max(data, 0)"""
        return gluon_relu(data, self.name("relu"))

    def convolution(self, data: mx.sym.Symbol, num_filter: int, **settings: int) -> mx.sym.Symbol:
        """Convolution without bias; settings as in `gluon_convolution`."""
        return gluon_convolution(data, num_filter, self.name("conv"), **settings)

    def batch_norm(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """Batch normalisation."""
        return gluon_batch_norm(data, self.name("batchnorm"), BN_MOMENTUM, BN_EPSILON)

    def squeezed(self, data: mx.sym.Symbol, num_filter: int) -> mx.sym.Symbol:
        """ReLU, convolution of 1×1, BN: (N, C, H, W) -> (N, num_filter, H, W)."""
        return self.batch_norm(self.convolution(self.relu(data), num_filter))

    def halved(self, data: mx.sym.Symbol, num_filter: int) -> mx.sym.Symbol:
        """(N, C, H, W) -> (N, 2 · num_filter, H/2, W/2): from the even and the odd pixels."""
        data = self.relu(data)
        even = self.convolution(pooled(data, "avg", 2, kernel=1), num_filter)
        odd = pooled(without_first(padded(data, AFTER)), "avg", 2, kernel=1)
        odd = self.convolution(odd, num_filter)
        return self.batch_norm(mx.sym.concat(even, odd, dim=1))

    def separable_convolution(
        self,
        data: mx.sym.Symbol,
        channels: int,
        num_filter: int,
        kernel: int,
        stride: int,
        shifted: bool,
    ) -> mx.sym.Symbol:
        """ReLU, depthwise and 1×1 convolution, BN; see `separable`."""
        body = self.relu(data)
        if shifted:
            body = padded(body, BEFORE)
        body = self.convolution(
            body, channels, kernel=kernel, stride=stride, pad=kernel // 2, num_group=channels
        )
        body = self.convolution(body, num_filter)
        return self.batch_norm(without_first(body) if shifted else body)

    def separable(
        self,
        data: mx.sym.Symbol,
        num_filter: int,
        kernel: int,
        stride: int = 1,
        channels: int | None = None,
        shifted: bool = False,
    ) -> mx.sym.Symbol:
        """Two separable convolutions, which the paper draws as one.

        (N, channels, H, W) -> (N, num_filter, H/stride, W/stride)

        Parameters
        ----------
        stride
            Of the first separable convolution.
        channels
            None means num_filter.
        shifted
            Whether the first separable convolution starts one pixel further up and to the left, so
            that with stride 2 it samples other pixels.
        """
        body = self.separable_convolution(
            data, channels or num_filter, num_filter, kernel, stride, shifted
        )
        return self.separable_convolution(body, num_filter, num_filter, kernel, 1, False)


def normal_cell(
    layers: Layers, current: mx.sym.Symbol, previous: mx.sym.Symbol, channels: int
) -> mx.sym.Symbol:
    """The paper's normal cell: both inputs (N, channels, H, W) -> (N, 6 · channels, H, W)."""
    sums = (
        layers.separable(current, channels, 5) + layers.separable(previous, channels, 3),
        layers.separable(previous, channels, 5) + layers.separable(previous, channels, 3),
        pooled(current, "avg") + previous,
        pooled(previous, "avg") + pooled(previous, "avg"),
        layers.separable(current, channels, 3) + current,
    )
    return mx.sym.concat(previous, *sums, dim=1)


def reduction_cell(
    layers: Layers,
    current: mx.sym.Symbol,
    previous: mx.sym.Symbol,
    channels: int,
    previous_channels: int | None = None,
    shifted: bool = False,
) -> mx.sym.Symbol:
    """The paper's reduction cell, to (N, 4 · channels, H/2, W/2).

    Parameters
    ----------
    current
        (N, channels, H, W)
    previous
        (N, previous_channels, H, W); None means `channels`.
    shifted
        Whether its layers sample other pixels, see `Layers.separable`.
    """

    def separable(
        data: mx.sym.Symbol, kernel: int, stride: int = 2, width: int | None = None
    ) -> mx.sym.Symbol:
        return layers.separable(data, channels, kernel, stride, width, shifted)

    def current_pooled(pool_type: str) -> mx.sym.Symbol:
        return pooled(current, pool_type, 2, shifted=shifted)

    first = separable(current, 5) + separable(previous, 7, width=previous_channels)
    second = current_pooled("max") + separable(previous, 7, width=previous_channels)
    third = current_pooled("avg") + separable(previous, 5, width=previous_channels)
    return mx.sym.concat(
        second,
        third,
        pooled(first, "avg") + second,
        separable(first, 3, stride=1) + current_pooled("max"),
        dim=1,
    )


def stem(layers: Layers) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """The last two maps before the stages, (N, 168, 55, 55) and (N, 336, 28, 28)."""
    data = scaled_pixels(mx.sym.var("data"))
    # (N, 96, 110, 110)
    data = layers.batch_norm(layers.convolution(data, FIRST_CHANNELS, kernel=3))
    channels, wider = STEM_CHANNELS
    previous = reduction_cell(
        layers, layers.squeezed(data, channels), data, channels, FIRST_CHANNELS
    )
    current = layers.squeezed(previous, wider)
    return previous, reduction_cell(layers, current, layers.halved(data, wider // 2), wider)


def get_symbol(
    num_classes: int, num_layers: int = 1, bn_mom: float = 0.9, **unused: Any
) -> mx.sym.Symbol:
    """NASNet-A up to its embedding, a symbol of shape (N, num_classes) named fc1.

    2018: it always ends in head E, whatever --version-output is, and has no other versions.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        Has no effect.
    bn_mom
        Momentum of the batch normalisations in the head only; that of the others is fixed.
    unused
        Settings of other networks; ignored.
    """
    layers = Layers()
    previous, current = stem(layers)
    # (N, 6 · channels, 28, 28), (…, 14, 14), (…, 7, 7)
    for stage, channels in enumerate(STAGE_CHANNELS):
        if stage > 0:
            left = layers.squeezed(previous, channels)
            right = layers.squeezed(current, channels)
            # 2018: the first of these two is shifted, the second is not.
            current = reduction_cell(layers, right, left, channels, shifted=stage == 1)
        for cell in range(CELLS):
            # For a stage's first cell, the previous input is twice as large.
            if cell == 0:
                right = layers.squeezed(current, channels)
                left = layers.halved(previous, channels // 2)
            else:
                left = layers.squeezed(previous, channels)
                right = layers.squeezed(current, channels)
            previous, current = current, normal_cell(layers, right, left, channels)
    # (N, 4032, 7, 7)
    return get_fc1(current, num_classes, "E", bn_mom)


SPEC = NetworkSpec(
    letter="n",
    family="NASNet-A",
    paper="1707.07012",
    build=get_symbol,
    rows=[Row("n1")],
)
