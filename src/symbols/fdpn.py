"""Dual path networks (Chen et al., arXiv 1707.01629, figure 2d), p68 to p131.

Two paths run side by side through all units: channels that each unit adds to (a residual path), and
channels that each unit appends to (a dense path). p92 and p131 have the units of table 1 in the
paper; all of them have a different stem, and end in the heads of the face networks.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any, NamedTuple

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.stem import get_head
from src.symbols.symbol_utils import convolution, get_fc1

Paths = tuple[mx.sym.Symbol, mx.sym.Symbol]

RESIDUAL_CHANNELS = (256, 512, 1024, 2048)  # of each stage's residual path
STEM_CHANNELS = 128  # at --version-input 0


class Settings(NamedTuple):
    """The differences between the networks, as in the columns of table 1 in the paper."""

    width: int  # channels within the first stage's units; each further stage has twice as many
    groups: int  # of the convolutions of 3×3
    units: tuple[int, ...]  # in each of the four stages
    increments: tuple[int, ...]  # channels that a unit appends to the dense path, by stage


NETWORKS = {
    68: Settings(128, 32, (3, 4, 12, 3), (16, 32, 32, 64)),
    92: Settings(96, 32, (3, 4, 20, 3), (16, 32, 24, 128)),
    107: Settings(200, 50, (4, 8, 20, 3), (20, 64, 64, 128)),
    131: Settings(160, 40, (4, 8, 28, 3), (16, 32, 32, 128)),
}


def preactivated_convolution(
    data: mx.sym.Symbol,
    num_filter: int,
    name: str,
    bn_mom: float,
    kernel: int = 1,
    stride: int = 1,
    num_group: int = 1,
) -> mx.sym.Symbol:
    """BN, ReLU, convolution: (N, C, H, W) -> (N, num_filter, H/stride, W/stride)."""
    # MXNet's default epsilon, as in the authors' code.
    body = mx.sym.BatchNorm(data, fix_gamma=False, momentum=bn_mom, name=f"{name}__bn__bn")
    body = mx.sym.Activation(body, act_type="relu", name=f"{name}__ac__relu")
    return convolution(body, num_filter, f"{name}__conv", kernel, stride, num_group=num_group)


def split(data: mx.sym.Symbol, channels: int, name: str) -> Paths:
    """(N, C, H, W) -> (N, channels, H, W) and (N, C - channels, H, W)."""
    return (
        mx.sym.slice_axis(data, axis=1, begin=0, end=channels, name=f"{name}-split1"),
        mx.sym.slice_axis(data, axis=1, begin=channels, end=None, name=f"{name}-split2"),
    )


def dual_path_unit(
    data: mx.sym.Symbol,
    paths: Paths | None,
    widths: tuple[int, int, int],
    stride: int,
    num_group: int,
    name: str,
    bn_mom: float,
) -> Paths:
    """One unit: adds to the residual path, and appends channels to the dense path.

    Parameters
    ----------
    data
        Both paths concatenated, (N, C, H, W).
    paths
        The residual path (N, channels, H, W) and the dense path; None for the first unit of a
        stage, which projects `data` to new paths.
    widths
        Channels of the residual path, of the layers inside the unit, and of the increment.

    Returns
    -------
    paths
        Residual (N, channels, H/stride, W/stride), and dense with the same H and W.
    """
    channels, width, increment = widths
    if paths is None:
        projection = f"{name}_c1x1-w(s/{stride})"
        projected = preactivated_convolution(
            data, channels + 2 * increment, projection, bn_mom, stride=stride
        )
        paths = split(projected, channels, projection)
    body = preactivated_convolution(data, width, f"{name}_c1x1-a", bn_mom)
    body = preactivated_convolution(body, width, f"{name}_c3x3-b", bn_mom, 3, stride, num_group)
    body = preactivated_convolution(body, channels + increment, f"{name}_c1x1-c", bn_mom)
    added, appended = split(body, channels, f"{name}_c1x1-c")
    return (
        mx.sym.add_n(paths[0], added, name=f"{name}_sum"),
        mx.sym.concat(paths[1], appended, dim=1, name=f"{name}_cat"),
    )


def get_symbol(
    num_classes: int,
    num_layers: int = 92,
    version_input: int = 1,
    version_output: str = "E",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """A dual path network up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        68, 92, 107 or 131
    version_input
        The first layers: 0, or 1 or 2, which are the same; see `stem.get_head`.
    version_output
        The head, see `symbol_utils.get_fc1`.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a depth or a version that does not exist.
    """
    SPEC.check(num_layers, input=version_input)
    network = NETWORKS[num_layers]
    data = get_head(mx.sym.var("data"), version_input, STEM_CHANNELS, bn_mom)
    paths: Paths | None = None
    # (N, channels + dense, 56, 56), (…, 28, 28), (…, 14, 14), (…, 7, 7)
    for stage, channels in enumerate(RESIDUAL_CHANNELS):
        widths = (channels, network.width << stage, network.increments[stage])
        for number in range(1, network.units[stage] + 1):
            name = f"conv{stage + 2}_x__{number}"
            if paths is not None:
                data = mx.sym.concat(*paths, dim=1, name=f"{name}_cat-input")
            first = number == 1
            stride = 2 if first and stage > 0 else 1
            paths = dual_path_unit(
                data, None if first else paths, widths, stride, network.groups, name, bn_mom
            )
    assert paths is not None  # there are four stages
    body = mx.sym.concat(*paths, dim=1, name="conv5_x_x_cat-final")
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="p",
    family="DPN",
    paper="1707.01629",
    build=get_symbol,
    rows=[Row("p92"), Row("p107")],
    numbers=tuple(NETWORKS),
    versions={"input": (0, 1, 2)},
)
