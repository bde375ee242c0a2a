"""MobileNetV2 (Sandler et al., arXiv 1801.04381, table 2), m2 and every m number but 1.

What differs from the paper: nothing is strided before the second bottleneck, which leaves 7×7
places of a 112×112 photo; ReLU stands for ReLU6; a bottleneck that changes the number of channels
at stride 1 has a shortcut with a convolution; and a stage's first number of channels is what all
its bottlenecks are expanded from.
"""

from src.common.mxnet_backend import mx
from src.symbols.gluon_layers import gluon_batch_norm, gluon_convolution, gluon_relu
from src.symbols.symbol_utils import get_fc1, scaled_pixels

# Of every stage: expansion, channels out, bottlenecks, stride of the first one.
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


def normalised_convolution(data, num_filter, name, number, bn_mom, **settings):
    """Convolution and batch normalisation, the layer's `number`-th of each."""
    body = gluon_convolution(data, num_filter, f"{name}conv{number}", **settings)
    return gluon_batch_norm(body, f"{name}batchnorm{number}", bn_mom)


def bottleneck(data, expanded, num_filter, stride, same_shape, name, bn_mom):
    """Inverted residual (fig. 4 of the paper).

    (N, C, H, W) -> (N, num_filter, H/stride, W/stride), `expanded` channels wide in between.
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


def get_symbol(num_classes, num_layers=2, bn_mom=0.9, **unused):
    """MobileNetV2 up to its embedding, a symbol of shape (N, num_classes) named fc1.

    2018: it ends in the head E whatever --version-output says, and has no other version.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : int
        2018: m2, m3, … are the same network.
    bn_mom : float
        2018: fixed at 0.9.
    unused
        The other networks' versions.
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
