"""Residual networks of the ArcFace paper (arXiv 1801.07698, section 3.2), r18 to r269.

Residual units, by --version-unit (BN: batch normalisation; act: the activation, usually PReLU):

    1       conv BN act conv BN  + shortcut, act    He et al., arXiv 1512.03385, fig. 2
    2       BN act conv BN act conv  + shortcut     He et al., arXiv 1603.05027, fig. 4e
    0, 3    BN conv BN act conv BN  + shortcut      Han et al., arXiv 1610.02915, "improved"
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Callable
from typing import Any, NamedTuple

from src.common.forwarding import forward
from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import (
    activation,
    batch_norm,
    convolution,
    get_fc1,
    scaled_pixels,
    squeeze_excite,
)

# Units in each of the four stages.
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
BOTTLENECK_FROM = 101  # layers; a unit then has convolutions 1×1, 3×3, 1×1 instead of two 3×3
STAGE_CHANNELS = (64, 128, 256, 512)
BOTTLENECK_CHANNELS = (256, 512, 1024, 2048)
ACTIVATIONS = ("prelu", "relu", "sigmoid", "softrelu", "softsign", "tanh")

# Of a unit: filters, stride, whether it is a bottleneck. The unit maps (N, C, H, W) to
# (N, filters, H/stride, W/stride).
Shape = tuple[int, int, bool]


class Versions(NamedTuple):
    """The flags `--version-*` and `--bn-mom`."""

    se: int = 0
    input: int = 1
    unit: int = 3
    act: str = "prelu"
    bn_mom: float = 0.9


def unit_convolutions(num_filter: int, bottle_neck: bool) -> list[tuple[int, int]]:
    """[(filters, kernel), …] of a unit's convolutions, in order."""
    if bottle_neck:
        return [(num_filter // 4, 1), (num_filter // 4, 3), (num_filter, 1)]
    return [(num_filter, 3), (num_filter, 3)]


def projection(
    data: mx.sym.Symbol, num_filter: int, stride: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """The shortcut at the start of a stage: 1×1 convolution and BN to the new shape."""
    body = convolution(data, num_filter, f"{name}_conv1sc", stride=stride)
    return batch_norm(body, f"{name}_sc", bn_mom)


def unit_1(data: mx.sym.Symbol, shape: Shape, first: bool, name: str, v: Versions) -> mx.sym.Symbol:
    """conv BN act, conv BN, plus the shortcut, act.

    2018: the first convolution has the stride at --version-input 0, otherwise the last one.
    """
    num_filter, stride, bottle_neck = shape
    convolutions = unit_convolutions(num_filter, bottle_neck)
    strided = 1 if v.input == 0 else len(convolutions)
    body = data
    for i, (filters, kernel) in enumerate(convolutions, 1):
        if i > 1:
            body = activation(body, f"{name}_relu{i - 1}", v.act)
        body = convolution(body, filters, f"{name}_conv{i}", kernel, stride if i == strided else 1)
        body = batch_norm(body, f"{name}_bn{i}", v.bn_mom)
    if v.se:
        body = squeeze_excite(body, num_filter, name, v.act)
    shortcut = projection(data, num_filter, stride, name, v.bn_mom) if first else data
    return activation(body + shortcut, f"{name}_relu3", v.act)


def unit_2(data: mx.sym.Symbol, shape: Shape, first: bool, name: str, v: Versions) -> mx.sym.Symbol:
    """BN act conv, BN act conv, plus the shortcut, which starts after the first activation."""
    num_filter, stride, bottle_neck = shape
    strided = 2 if bottle_neck else 1
    body = data
    for i, (filters, kernel) in enumerate(unit_convolutions(num_filter, bottle_neck), 1):
        body = batch_norm(body, f"{name}_bn{i}", v.bn_mom)
        body = activation(body, f"{name}_relu{i}", v.act)
        if i == 1:
            activated = body
        body = convolution(body, filters, f"{name}_conv{i}", kernel, stride if i == strided else 1)
    if v.se:
        body = squeeze_excite(body, num_filter, name, v.act)
    shortcut = data
    if first:
        shortcut = convolution(activated, num_filter, f"{name}_sc", stride=stride)
    return body + shortcut


def unit_3(data: mx.sym.Symbol, shape: Shape, first: bool, name: str, v: Versions) -> mx.sym.Symbol:
    """BN conv, BN act conv, BN, plus the shortcut; the last convolution has the stride."""
    num_filter, stride, bottle_neck = shape
    convolutions = unit_convolutions(num_filter, bottle_neck)
    last = len(convolutions)
    body = batch_norm(data, f"{name}_bn1", v.bn_mom)
    for i, (filters, kernel) in enumerate(convolutions, 1):
        if i > 1:
            body = activation(body, f"{name}_relu{i - 1}", v.act)
        body = convolution(body, filters, f"{name}_conv{i}", kernel, stride if i == last else 1)
        body = batch_norm(body, f"{name}_bn{i + 1}", v.bn_mom)
    if v.se:
        body = squeeze_excite(body, num_filter, name, v.act)
    shortcut = projection(data, num_filter, stride, name, v.bn_mom) if first else data
    return body + shortcut


# 2018: --version-unit 0 is the same as 3.
UNIT_VERSIONS: dict[int, Callable[..., mx.sym.Symbol]] = {
    0: unit_3,
    1: unit_1,
    2: unit_2,
    3: unit_3,
}


def first_layers(v: Versions) -> mx.sym.Symbol:
    """Pixels (N, 3, 112, 112) -> (N, 64, 112, 112); (N, 64, 28, 28) at --version-input 0."""
    data = mx.sym.var("data")
    if v.input == 0:
        # The ImageNet stem: a learnt scaling of the pixels, and a quarter of the size.
        body = batch_norm(data, "bn_data", v.bn_mom, fix_gamma=True)
        body = convolution(body, 64, "conv0", kernel=7, stride=2)
    else:
        body = convolution(scaled_pixels(mx.sym.identity(data, name="id")), 64, "conv0", kernel=3)
    body = batch_norm(body, "bn0", v.bn_mom)
    body = activation(body, "relu0", v.act)
    if v.input == 0:
        body = mx.sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    return body


def get_symbol(
    num_classes: int,
    num_layers: int,
    version_se: int = 1,
    version_input: int = 1,
    version_output: str = "E",
    version_unit: int = 3,
    version_act: str = "prelu",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """A resnet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        18, 34, 50, 100, 101, 152, 200 or 269
    version_se
        1: squeeze-and-excitation in every unit. 2018: the default here, while `--version-se` is 0.
    version_input
        1: a first convolution of 3×3, stride 1, for photos of 112×112; 0: the ImageNet stem.
    version_output
        The head, see `symbol_utils.get_fc1`.
    version_unit
        0 to 3, see the module's docstring.
    version_act
        The activation of the units.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a depth or a version that does not exist.
    """
    SPEC.check(num_layers, se=version_se, input=version_input, unit=version_unit, act=version_act)
    v = Versions(version_se, version_input, version_unit, version_act, bn_mom)
    bottle_neck = num_layers >= BOTTLENECK_FROM
    unit = UNIT_VERSIONS[version_unit]
    body = first_layers(v)
    # (N, channels, 56, 56), (…, 28, 28), (…, 14, 14), (…, 7, 7)
    channels = BOTTLENECK_CHANNELS if bottle_neck else STAGE_CHANNELS
    for stage, (num_filter, count) in enumerate(zip(channels, UNITS[num_layers], strict=True), 1):
        for number in range(1, count + 1):
            first = number == 1
            stride = 2 if first and not (stage == 1 and version_input == 0) else 1
            shape = (num_filter, stride, bottle_neck)
            body = unit(body, shape, first, f"stage{stage}_unit{number}", v)
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="r",
    family="ResNet of the ArcFace paper",
    paper="1801.07698",
    build=get_symbol,
    rows=[
        Row("r18"),
        Row(
            "r34",
            published="LResNet34E-IR",
            accuracy="LFW 99.65, CFP-FF 99.77, CFP-FP 92.12, AgeDB-30 97.70, MegaFace 96.70 (b)",
        ),
        Row(
            "r50",
            published="LResNet50E-IR",
            accuracy="LFW 99.80, CFP-FF 99.83, CFP-FP 92.74, AgeDB-30 97.76, MegaFace 97.64 (b)",
        ),
        Row(
            "r100",
            published="LResNet100E-IR",
            accuracy="LFW 99.77, CFP-FP 98.27, AgeDB-30 98.28, MegaFace 98.47 (c)",
        ),
        Row("r101", note="units of three convolutions"),
        Row("r152"),
        Row("r200"),
        Row("r269"),
    ],
    numbers=tuple(UNITS),
    versions={
        "se": (0, 1),
        "input": (0, 1),
        "unit": tuple(UNIT_VERSIONS),
        "act": ACTIVATIONS,
    },
    rnd_type="gaussian",
    factor_type="out",
)

_NAMES_OF_2018 = [
    *("Act", "Conv", "residual_unit", "residual_unit_v1", "residual_unit_v1_L"),
    *("residual_unit_v2", "residual_unit_v3"),
]

__getattr__ = forward(__name__, dict.fromkeys(_NAMES_OF_2018, "src.symbols.names_2018"))
