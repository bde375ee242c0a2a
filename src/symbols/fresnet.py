"""Residual networks of the ArcFace paper (arXiv 1801.07698, section 3.2), r18 to r269.

Residual units, by --version-unit (the shortcut is drawn apart; BN batch normalisation, act PReLU):

    1       conv act' conv  + shortcut, act         He et al., arXiv 1512.03385, fig. 2
    2       BN act conv BN act conv  + shortcut     He et al., arXiv 1603.05027, fig. 4e
    0, 3    BN conv BN act conv BN  + shortcut      Han et al., arXiv 1610.02915, "improved"
"""

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import (
    activation,
    batch_norm,
    convolution,
    get_fc1,
    scaled_pixels,
    squeeze_excite,
)
from src.symbols.versions import check_depth, check_version

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


def unit_convolutions(num_filter, bottle_neck):
    """[(filters, kernel), …] of a unit's convolutions, in their order."""
    if bottle_neck:
        return [(num_filter // 4, 1), (num_filter // 4, 3), (num_filter, 1)]
    return [(num_filter, 3), (num_filter, 3)]


def projection(data, num_filter, stride, name, bn_mom):
    """The shortcut where a stage begins: 1×1 convolution and BN to the new shape."""
    body = convolution(data, num_filter, 1, stride, f"{name}_conv1sc")
    return batch_norm(body, f"{name}_sc", bn_mom)


def unit_1(data, shape, first, name, version):
    """conv BN act, conv BN, plus the shortcut, act.

    2018: the stride is the first convolution's at --version-input 0, else the last one's.
    """
    num_filter, stride, bottle_neck = shape
    convolutions = unit_convolutions(num_filter, bottle_neck)
    strided = 1 if version["version_input"] == 0 else len(convolutions)
    body = data
    for i, (filters, kernel) in enumerate(convolutions, 1):
        if i > 1:
            body = activation(body, f"{name}_relu{i - 1}", version["version_act"])
        body = convolution(body, filters, kernel, stride if i == strided else 1, f"{name}_conv{i}")
        body = batch_norm(body, f"{name}_bn{i}", version["bn_mom"])
    if version["version_se"]:
        body = squeeze_excite(body, num_filter, name, version["version_act"])
    shortcut = projection(data, num_filter, stride, name, version["bn_mom"]) if first else data
    return activation(body + shortcut, f"{name}_relu3", version["version_act"])


def unit_2(data, shape, first, name, version):
    """BN act conv, BN act conv, plus the shortcut, which starts after the first activation."""
    num_filter, stride, bottle_neck = shape
    strided = 2 if bottle_neck else 1
    body = data
    for i, (filters, kernel) in enumerate(unit_convolutions(num_filter, bottle_neck), 1):
        body = batch_norm(body, f"{name}_bn{i}", version["bn_mom"])
        body = activation(body, f"{name}_relu{i}", version["version_act"])
        if i == 1:
            activated = body
        body = convolution(body, filters, kernel, stride if i == strided else 1, f"{name}_conv{i}")
    if version["version_se"]:
        body = squeeze_excite(body, num_filter, name, version["version_act"])
    shortcut = convolution(activated, num_filter, 1, stride, f"{name}_sc") if first else data
    return body + shortcut


def unit_3(data, shape, first, name, version):
    """BN conv, BN act conv, BN, plus the shortcut; the last convolution has the stride."""
    num_filter, stride, bottle_neck = shape
    convolutions = unit_convolutions(num_filter, bottle_neck)
    last = len(convolutions)
    body = batch_norm(data, f"{name}_bn1", version["bn_mom"])
    for i, (filters, kernel) in enumerate(convolutions, 1):
        if i > 1:
            body = activation(body, f"{name}_relu{i - 1}", version["version_act"])
        body = convolution(body, filters, kernel, stride if i == last else 1, f"{name}_conv{i}")
        body = batch_norm(body, f"{name}_bn{i + 1}", version["bn_mom"])
    if version["version_se"]:
        body = squeeze_excite(body, num_filter, name, version["version_act"])
    shortcut = projection(data, num_filter, stride, name, version["bn_mom"]) if first else data
    return body + shortcut


# 2018: --version-unit 0 is the unit 3.
UNIT_VERSIONS = {0: unit_3, 1: unit_1, 2: unit_2, 3: unit_3}


def first_layers(version):
    """Pixels (N, 3, 112, 112) -> (N, 64, 112, 112); (N, 64, 28, 28) at --version-input 0."""
    data = mx.sym.var("data")
    if version["version_input"] == 0:
        # The ImageNet stem: a learnt scaling of the pixels, and a quarter of the size.
        body = batch_norm(data, "bn_data", version["bn_mom"], fix_gamma=True)
        body = convolution(body, 64, 7, 2, "conv0")
    else:
        body = convolution(scaled_pixels(mx.sym.identity(data, name="id")), 64, 3, 1, "conv0")
    body = batch_norm(body, "bn0", version["bn_mom"])
    body = activation(body, "relu0", version["version_act"])
    if version["version_input"] == 0:
        body = mx.sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    return body


def check_versions(num_layers, version):
    """InputError naming what is possible, for a depth or version that does not exist."""
    possible = {
        "se": (0, 1),
        "input": (0, 1),
        "unit": tuple(UNIT_VERSIONS),
        "act": ACTIVATIONS,
    }
    check_depth("r", num_layers, UNITS)
    for name, values in possible.items():
        check_version(name, version[f"version_{name}"], "an r network", values)


def get_symbol(
    num_classes,
    num_layers,
    version_se=0,
    version_input=1,
    version_output="E",
    version_unit=3,
    version_act="prelu",
    bn_mom=0.9,
    **unused,
):
    """A resnet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : {18, 34, 50, 100, 101, 152, 200, 269}
    version_se : {0, 1}
        1: squeeze-and-excitation in every unit.
    version_input : {0, 1}
        1: a first convolution of 3×3, stride 1, for photos of 112×112; 0: the ImageNet stem.
    version_output : str
        The head, see `symbol_utils.get_fc1`.
    version_unit : {0, 1, 2, 3}
        See the module's docstring.
    version_act : str
        The activation of the units.
    unused
        The other networks' versions, which this one does not have.

    Raises
    ------
    InputError
        For a depth or a version that does not exist.
    """
    version = {
        "version_se": version_se,
        "version_input": version_input,
        "version_unit": version_unit,
        "version_act": version_act,
        "bn_mom": bn_mom,
    }
    check_versions(num_layers, version)
    bottle_neck = num_layers >= BOTTLENECK_FROM
    unit = UNIT_VERSIONS[version_unit]
    body = first_layers(version)
    # (N, channels, 56, 56), (…, 28, 28), (…, 14, 14), (…, 7, 7)
    channels = BOTTLENECK_CHANNELS if bottle_neck else STAGE_CHANNELS
    for stage, (num_filter, count) in enumerate(zip(channels, UNITS[num_layers], strict=True), 1):
        for number in range(1, count + 1):
            first = number == 1
            stride = 2 if first and not (stage == 1 and version_input == 0) else 1
            shape = (num_filter, stride, bottle_neck)
            body = unit(body, shape, first, f"stage{stage}_unit{number}", version)
    return get_fc1(body, num_classes, version_output, bn_mom)
