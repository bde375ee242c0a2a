"""The first layers of the networks that were made for ImageNet and take photos of 112×112 here."""

from src.common.mxnet_backend import mx
from src.symbols.fresnet import unit_3
from src.symbols.symbol_utils import activation, batch_norm, convolution, scaled_pixels

FACE_CHANNELS = 64  # at most, where nothing is pooled yet


def get_head(data, version_input, num_filter, bn_mom=0.9):
    """Pixels (N, 3, 112, 112) to the first feature map of a DenseNet or a dual path network.

    Parameters
    ----------
    data : Symbol
        Pixels 0..255.
    version_input : {0, 1}
        0: the ImageNet stem, (N, num_filter, 28, 28). 1: a convolution of 3×3 and one residual
        unit, (N, min(num_filter, 64), 56, 56).
    num_filter : int
        Channels of the network's own stem.
    """
    body = scaled_pixels(data)
    if version_input == 0:
        body = convolution(body, num_filter, 7, 2, "conv0")
    else:
        num_filter = min(num_filter, FACE_CHANNELS)
        body = convolution(body, num_filter, 3, 1, "conv0")
    body = activation(batch_norm(body, "bn0", bn_mom), "relu0")
    if version_input == 0:
        return mx.sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    version = {"version_se": 0, "version_act": "prelu", "bn_mom": bn_mom}
    return unit_3(body, (num_filter, 2, False), first=True, name="head", version=version)
