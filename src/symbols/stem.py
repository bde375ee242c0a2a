"""The first layers of ImageNet networks, adapted to photos of 112×112."""

from src.common.mxnet_backend import mx
from src.symbols.fresnet import Versions, unit_3
from src.symbols.symbol_utils import activation, batch_norm, convolution, scaled_pixels

FACE_CHANNELS = 64  # the largest number before any pooling


def get_head(
    data: mx.sym.Symbol, version_input: int, num_filter: int, bn_mom: float = 0.9
) -> mx.sym.Symbol:
    """Pixels (N, 3, 112, 112) to the first feature map of a DenseNet or a dual path network.

    Parameters
    ----------
    data
        Pixels 0..255.
    version_input
        0: the ImageNet stem, (N, num_filter, 28, 28). Others: a convolution of 3×3 and one residual
        unit, (N, min(num_filter, 64), 56, 56).
    num_filter
        Channels of the network's own stem.
    """
    body = scaled_pixels(data)
    if version_input == 0:
        body = convolution(body, num_filter, "conv0", kernel=7, stride=2)
    else:
        num_filter = min(num_filter, FACE_CHANNELS)
        body = convolution(body, num_filter, "conv0", kernel=3)
    body = activation(batch_norm(body, "bn0", bn_mom), "relu0")
    if version_input == 0:
        return mx.sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    return unit_3(body, (num_filter, 2, False), first=True, name="head", v=Versions(bn_mom=bn_mom))
