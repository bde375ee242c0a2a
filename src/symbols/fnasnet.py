"""NASNet-A, large (Zoph et al., arXiv 1707.07012, figure 4), any number.

The number behind the letter (n1, n4, …) has no effect, as in 2018. The first convolution has stride
1 where the paper's has 2. Layers are numbered in the order in which they are made, and parameters
are named by that number.
"""

from src.common.mxnet_backend import mx
from src.symbols.gluon_layers import gluon_batch_norm, gluon_convolution, gluon_relu
from src.symbols.symbol_utils import get_fc1, scaled_pixels

FIRST_CHANNELS = 96
STEM_CHANNELS = (42, 84)  # of each convolution in the two reduction cells of the stem
STAGE_CHANNELS = (168, 336, 672)  # of each convolution in a stage's cells
CELLS = 6  # in a stage, beside its reduction cell
# 2018: fixed, whatever --bn-mom said. Elsewhere (PyTorch) such a number is the share of the *new*
# batch; here it is that of the old ones, so that the statistics are about those of the last batch.
BN_MOMENTUM = 0.1
BN_EPSILON = 1e-3

# Of both pads the width before and behind each of N, C, H, W.
BEFORE = (0, 0, 0, 0, 1, 0, 1, 0)
BEHIND = (0, 0, 0, 0, 0, 1, 0, 1)


def padded(data, width):
    """`data` with a row and a column of zeros more, BEFORE or BEHIND."""
    return mx.sym.pad(data, mode="constant", constant_value=0, pad_width=width)


def without_first(data):
    """(N, C, H, W) -> (N, C, H-1, W-1): the first row and column are left out."""
    return mx.sym.slice(data, begin=(None, None, 1, 1), end=(None, None, None, None))


def pooled(data, pool_type, stride=1, kernel=3, shifted=False):
    """(N, C, H, W) -> (N, C, H/stride, W/stride), the maximum or average of kernel × kernel."""
    body = mx.sym.Pooling(
        padded(data, BEFORE) if shifted else data,
        pool_type=pool_type,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
    )
    return without_first(body) if shifted else body


class Layers:
    """Makes the network's layers, and numbers each kind of them."""

    def __init__(self):
        self.made = {"conv": 0, "batchnorm": 0, "relu": 0}

    def name(self, kind):
        """conv0, conv1, …"""
        number = self.made[kind]
        self.made[kind] += 1
        return f"{kind}{number}"

    def relu(self, data):
        """max(data, 0)."""
        return gluon_relu(data, self.name("relu"))

    def convolution(self, data, num_filter, **settings):
        """Convolution without bias; settings as in `gluon_convolution`."""
        return gluon_convolution(data, num_filter, self.name("conv"), **settings)

    def batch_norm(self, data):
        """Batch normalisation."""
        return gluon_batch_norm(data, self.name("batchnorm"), BN_MOMENTUM, BN_EPSILON)

    def squeezed(self, data, num_filter):
        """ReLU, convolution of 1×1, BN: (N, C, H, W) -> (N, num_filter, H, W)."""
        return self.batch_norm(self.convolution(self.relu(data), num_filter))

    def halved(self, data, num_filter):
        """(N, C, H, W) -> (N, 2 · num_filter, H/2, W/2): every second place, and those between."""
        data = self.relu(data)
        even = self.convolution(pooled(data, "avg", 2, kernel=1), num_filter)
        odd = pooled(without_first(padded(data, BEHIND)), "avg", 2, kernel=1)
        odd = self.convolution(odd, num_filter)
        return self.batch_norm(mx.sym.concat(even, odd, dim=1))

    def separable_convolution(self, data, channels, num_filter, kernel, stride, shifted):
        """ReLU, depthwise and 1×1 convolution, BN; see `separable`."""
        body = self.relu(data)
        if shifted:
            body = padded(body, BEFORE)
        body = self.convolution(
            body, channels, kernel=kernel, stride=stride, pad=kernel // 2, num_group=channels
        )
        body = self.convolution(body, num_filter)
        return self.batch_norm(without_first(body) if shifted else body)

    def separable(self, data, num_filter, kernel, stride=1, channels=None, shifted=False):
        """Two separable convolutions, as the paper has them wherever it draws one.

        (N, channels, H, W) -> (N, num_filter, H/stride, W/stride)

        Parameters
        ----------
        stride : int
            Of the first one.
        channels : int, or None
            None: num_filter.
        shifted : bool
            Whether the first one sees the map from a pixel further up and left, so that with
            stride 2 it sees other places.
        """
        body = self.separable_convolution(
            data, channels or num_filter, num_filter, kernel, stride, shifted
        )
        return self.separable_convolution(body, num_filter, num_filter, kernel, 1, False)


def normal_cell(layers, current, previous, channels):
    """The paper's normal cell: both inputs (N, channels, H, W) -> (N, 6 · channels, H, W)."""
    sums = (
        layers.separable(current, channels, 5) + layers.separable(previous, channels, 3),
        layers.separable(previous, channels, 5) + layers.separable(previous, channels, 3),
        pooled(current, "avg") + previous,
        pooled(previous, "avg") + pooled(previous, "avg"),
        layers.separable(current, channels, 3) + current,
    )
    return mx.sym.concat(previous, *sums, dim=1)


def reduction_cell(layers, current, previous, channels, previous_channels=None, shifted=False):
    """The paper's reduction cell, to (N, 4 · channels, H/2, W/2).

    Parameters
    ----------
    current : Symbol
        (N, channels, H, W)
    previous : Symbol
        (N, previous_channels, H, W), of `channels` channels unless it is said.
    shifted : bool
        Whether its layers see other places, see `Layers.separable`.
    """

    def separable(data, kernel, stride=2, width=None):
        return layers.separable(data, channels, kernel, stride, width, shifted)

    def current_pooled(pool_type):
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


def stem(layers):
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


def get_symbol(num_classes, num_layers=1, bn_mom=0.9, **unused):
    """NASNet-A up to its embedding, a symbol of shape (N, num_classes) named fc1.

    2018: it ends in the head E whatever --version-output says, and has no other version.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : int
        Has no effect.
    bn_mom : float
        Momentum of the head's batch normalisations alone; that of the others is fixed.
    unused
        The other networks' versions.
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
            # A stage's first cell finds the input before it at twice its own size.
            if cell == 0:
                right = layers.squeezed(current, channels)
                left = layers.halved(previous, channels // 2)
            else:
                left = layers.squeezed(previous, channels)
                right = layers.squeezed(current, channels)
            previous, current = current, normal_cell(layers, right, left, channels)
    # (N, 4032, 7, 7)
    return get_fc1(current, num_classes, "E", bn_mom)
