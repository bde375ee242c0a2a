"""The networks of SphereFace (Liu et al., arXiv 1704.08063, table 2), s20, s36 and s64."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import activation, convolution, scaled_pixels

# Residual units in each of the four stages; 60 and 104 are 2018's own, not the paper's.
UNITS = {
    20: (1, 2, 4, 1),
    36: (2, 4, 8, 2),
    60: (3, 8, 14, 3),
    64: (3, 8, 16, 3),
    104: (3, 8, 36, 3),
}
STAGE_CHANNELS = (64, 128, 256, 512)


def bias(name: str, **attributes: Any) -> mx.sym.Symbol:
    """A bias that learns twice as fast as the weights and does not decay."""
    return mx.sym.var(name, lr_mult=2.0, wd_mult=0.0, **attributes)


def activated(
    data: mx.sym.Symbol, num_filter: int, number: str, conv_workspace: int, **settings: Any
) -> mx.sym.Symbol:
    """Convolution of 3×3 with small initial weights, and PReLU; `number` is <stage>_<layer>."""
    body = convolution(
        data,
        num_filter,
        f"conv{number}",
        kernel=3,
        weight=mx.sym.var(f"conv{number}_weight", init=mx.init.Normal(0.01)),
        workspace=conv_workspace,
        **settings,
    )
    return activation(body, f"relu{number}")


def first_layer(
    data: mx.sym.Symbol, num_filter: int, stage: int, conv_workspace: int
) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, num_filter, H/2, W/2); the only layer of a stage with a bias."""
    number = f"{stage}_1"
    offset = bias(f"conv{number}_bias", init=mx.init.Constant(0.0))
    return activated(data, num_filter, number, conv_workspace, bias=offset, no_bias=False, stride=2)


def residual_unit(
    data: mx.sym.Symbol, num_filter: int, stage: int, layer: int, conv_workspace: int
) -> mx.sym.Symbol:
    """Two layers, `layer` and the next, plus the shortcut; keeps the shape of data."""
    body = data
    for number in (f"{stage}_{layer}", f"{stage}_{layer + 1}"):
        body = activated(body, num_filter, number, conv_workspace)
    return data + body


def get_symbol(
    num_classes: int, num_layers: int, conv_workspace: int = 256, **unused: Any
) -> mx.sym.Symbol:
    """A network of SphereFace up to its embedding, a symbol of shape (N, num_classes) named fc1.

    2018: it always ends in a fully connected layer, whatever --version-output is, and has no other
    versions. It has no batch normalisation, so --bn-mom has no effect.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        20, 36, 60, 64 or 104
    conv_workspace
        Largest workspace of a convolution on a GPU, in MB.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a depth that does not exist.
    """
    SPEC.check(num_layers)
    # (N, 3, 112, 112)
    body = scaled_pixels(mx.sym.var("data"))
    # (N, 64, 56, 56), (N, 128, 28, 28), (N, 256, 14, 14), (N, 512, 7, 7)
    stages = zip(STAGE_CHANNELS, UNITS[num_layers], strict=True)
    for stage, (channels, units) in enumerate(stages, 1):
        body = first_layer(body, channels, stage, conv_workspace)
        for unit in range(units):
            body = residual_unit(body, channels, stage, 2 + 2 * unit, conv_workspace)
    return mx.sym.FullyConnected(
        body,
        mx.sym.var("fc1_weight", lr_mult=1.0),
        bias("fc1_bias"),
        num_hidden=num_classes,
        name="fc1",
    )


SPEC = NetworkSpec(
    letter="s",
    family="SphereFace",
    paper="1704.08063",
    build=get_symbol,
    rows=[Row("s20"), Row("s36"), Row("s64")],
    numbers=tuple(UNITS),
)
