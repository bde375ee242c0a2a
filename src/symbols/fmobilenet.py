"""MobileNet (Howard et al., arXiv 1704.04861, table 1), m1: with PReLU instead of ReLU."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import activated_convolution, get_fc1, scaled_pixels

# (output channels, stride) of each depthwise separable convolution.
SEPARABLE = (
    (64, 1),
    *((128, 2), (128, 1)),
    *((256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)


def separable_convolution(
    data: mx.sym.Symbol, channels: int, num_filter: int, stride: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """A depthwise 3×3 and a 1×1 convolution, each followed by BN and PReLU.

    (N, channels, H, W) -> (N, num_filter, H/stride, W/stride).
    """
    settings: dict[str, Any] = {"bn_mom": bn_mom, "fix_gamma": True}
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
    num_classes: int,
    num_layers: int = 1,
    version_input: int = 1,
    version_output: str = "E",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """MobileNet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        1; the network has no other version.
    version_input
        0: a first convolution of stride 2, as in the paper; 1 or 2: stride 1.
    version_output
        The head, see `symbol_utils.get_fc1`.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a version that does not exist, or a head that does not fit.
    """
    SPEC.check(num_layers, input=version_input)
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


SPEC = NetworkSpec(
    letter="m",
    family="MobileNet",
    paper="1704.04861",
    build=get_symbol,
    rows=[Row("m1")],
    numbers=(1,),
    versions={"input": (0, 1, 2)},
)
