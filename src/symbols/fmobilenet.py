"""MobileNet (Howard et al., arXiv 1704.04861, table 1), m1: with PReLU in place of ReLU."""

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import activated_convolution, get_fc1, scaled_pixels
from src.symbols.versions import check_version

# Of every depthwise separable convolution: channels out, stride.
SEPARABLE = (
    (64, 1),
    *((128, 2), (128, 1)),
    *((256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)


def separable_convolution(data, channels, num_filter, stride, name, bn_mom):
    """A 3×3 convolution of each channel and a 1×1 one of all, each with its own activation.

    (N, channels, H, W) -> (N, num_filter, H/stride, W/stride).
    """
    settings = {"bn_mom": bn_mom, "fix_gamma": True}
    body = activated_convolution(
        data,
        channels,
        f"{name}_dw",
        kernel=3,
        stride=stride,
        pad=1,
        num_group=channels,
        **settings,
    )
    return activated_convolution(body, num_filter, name, **settings)


def get_symbol(
    num_classes, num_layers=1, version_input=1, version_output="E", bn_mom=0.9, **unused
):
    """MobileNet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : int
        1; the network has no other version.
    version_input : {0, 1}
        Stride of the first convolution: 2 as in the paper, or 1.
    version_output : str
        The head, see `symbol_utils.get_fc1`.
    bn_mom : float
        2018: fixed at 0.9.
    unused
        The other networks' versions, which this one does not have.

    Raises
    ------
    InputError
        For a version that does not exist, or a head that does not fit.
    """
    check_version("input", version_input, "m1")
    # (N, 3, 112, 112)
    body = scaled_pixels(mx.sym.var("data"))
    # (N, 32, 112, 112)
    channels = 32
    body = activated_convolution(
        body,
        channels,
        "conv_1",
        kernel=3,
        stride=2 if version_input == 0 else 1,
        pad=1,
        bn_mom=bn_mom,
        fix_gamma=True,
    )
    # (N, 64, 112, 112), (N, 128, 56, 56), (N, 256, 28, 28), (N, 512, 14, 14), (N, 1024, 7, 7)
    for number, (num_filter, stride) in enumerate(SEPARABLE, 2):
        body = separable_convolution(body, channels, num_filter, stride, f"conv_{number}", bn_mom)
        channels = num_filter
    return get_fc1(body, num_classes, version_output, bn_mom)
