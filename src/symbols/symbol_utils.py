"""Layers that the networks share, and the heads (`get_fc1`).

Every function takes and returns symbols. Parameters have the names of 2018, so published
checkpoints load into a symbol built here.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Callable
from typing import Any

from src.common.errors import InputError
from src.common.forwarding import forward
from src.common.mxnet_backend import mx
from src.graphs.shapes import INPUT_SHAPE, infer_shapes

Size = int | tuple[int, int]

GNAP_CHANNELS = 512


def scaled_pixels(data: mx.sym.Symbol) -> mx.sym.Symbol:
    """Pixels 0..255 to about -1..1: (data - 127.5) / 128."""
    return (data - 127.5) * 0.0078125


def batch_norm(
    data: mx.sym.Symbol,
    name: str,
    bn_mom: float = 0.9,
    fix_gamma: bool = False,
    eps: float = 2e-5,
) -> mx.sym.Symbol:
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), with the resnets' epsilon."""
    return mx.sym.BatchNorm(data, name=name, fix_gamma=fix_gamma, eps=eps, momentum=bn_mom)


def activation(data: mx.sym.Symbol, name: str, act_type: str = "prelu") -> mx.sym.Symbol:
    """PReLU (He et al., arXiv 1502.01852) with one learnt slope per channel, or another activation.

    Parameters
    ----------
    act_type
        prelu, relu, sigmoid, softrelu, softsign or tanh
    """
    if act_type == "prelu":
        return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
    return mx.sym.Activation(data, act_type=act_type, name=name)


def convolution(
    data: mx.sym.Symbol,
    num_filter: int,
    name: str,
    kernel: Size = 1,
    stride: Size = 1,
    pad: Size | None = None,
    num_group: int = 1,
    no_bias: bool = True,
    **settings: Any,
) -> mx.sym.Symbol:
    """Convolution: (N, C, H, W) -> (N, num_filter, H/stride, W/stride) with the default pad.

    A size is one number, or (height, width).
    """
    kernel = _pair(kernel)
    return mx.sym.Convolution(
        data,
        num_filter=num_filter,
        kernel=kernel,
        stride=_pair(stride),
        pad=(kernel[0] // 2, kernel[1] // 2) if pad is None else _pair(pad),
        num_group=num_group,
        no_bias=no_bias,
        name=name,
        **settings,
    )


def _pair(size: Size) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def linear_convolution(
    data: mx.sym.Symbol,
    num_filter: int,
    name: str,
    kernel: Size = 1,
    stride: Size = 1,
    pad: Size = 0,
    num_group: int = 1,
    bn_mom: float = 0.9,
    fix_gamma: bool = False,
) -> mx.sym.Symbol:
    """Convolution and batch normalisation, named as in the mobile networks.

    (N, C, H, W) -> (N, num_filter, H', W'). The batch normalisation has MXNet's default epsilon.
    """
    convolved = convolution(data, num_filter, f"{name}_conv2d", kernel, stride, pad, num_group)
    return mx.sym.BatchNorm(
        convolved, fix_gamma=fix_gamma, momentum=bn_mom, name=f"{name}_batchnorm"
    )


def activated_convolution(
    data: mx.sym.Symbol, num_filter: int, name: str, **settings: Any
) -> mx.sym.Symbol:
    """Convolution, batch normalisation and PReLU; settings as in `linear_convolution`."""
    return activation(linear_convolution(data, num_filter, name, **settings), f"{name}_relu")


def squeeze_excite(
    data: mx.sym.Symbol, num_filter: int, name: str, act_type: str = "prelu"
) -> mx.sym.Symbol:
    """Each channel scaled by a weight computed from the whole map (Hu et al., arXiv 1709.01507).

    (N, num_filter, H, W) -> the same shape; squeezed to num_filter // 16 channels (fig. 2).
    """
    # (N, num_filter, 1, 1)
    weight = mx.sym.Pooling(
        data, global_pool=True, kernel=(7, 7), pool_type="avg", name=f"{name}_se_pool1"
    )
    weight = convolution(weight, num_filter // 16, f"{name}_se_conv1", no_bias=False)
    weight = activation(weight, f"{name}_se_relu1", act_type)  # (N, num_filter // 16, 1, 1)
    weight = convolution(weight, num_filter, f"{name}_se_conv2", no_bias=False)
    weight = mx.sym.Activation(weight, act_type="sigmoid", name=f"{name}_se_sigmoid")
    return mx.sym.broadcast_mul(data, weight)


# The heads: last feature map (N, C, H, W) -> embeddings (N, num_classes).
def _fully_connected(data: mx.sym.Symbol, num_classes: int, name: str) -> mx.sym.Symbol:
    return mx.sym.FullyConnected(data, num_hidden=num_classes, name=name)


def _pre_fc1_as_fc1(data: mx.sym.Symbol, num_classes: int) -> mx.sym.Symbol:
    """A layer called fc1 with parameters called pre_fc1, as in heads B and K."""
    weight, bias = mx.sym.var("pre_fc1_weight"), mx.sym.var("pre_fc1_bias")
    return mx.sym.FullyConnected(data, weight, bias, num_hidden=num_classes, name="fc1")


def _final_norm(data: mx.sym.Symbol, bn_mom: float) -> mx.sym.Symbol:
    return batch_norm(data, "fc1", bn_mom, fix_gamma=True)


def _pooled(last_conv: mx.sym.Symbol, bn_mom: float, flat_name: str | None = None) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, C): normalised, activated, averaged over the map."""
    # 2018: PReLU whatever --version-act is.
    body = activation(batch_norm(last_conv, "bn1", bn_mom), "relu1")
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    return mx.sym.Flatten(body, name=flat_name)


def _dropped(last_conv: mx.sym.Symbol, bn_mom: float) -> mx.sym.Symbol:
    return mx.sym.Dropout(batch_norm(last_conv, "bn1", bn_mom), p=0.4)


def _head_a(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _pooled(last_conv, bn_mom, flat_name="fc1")


def _head_b(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _pre_fc1_as_fc1(_pooled(last_conv, bn_mom), num_classes)


def _head_c(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    pooled = _pooled(last_conv, bn_mom)
    return _final_norm(_fully_connected(pooled, num_classes, "pre_fc1"), bn_mom)


def _head_d(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    """Like C, with PReLU; here the loss is on fc1_output (in 2018 on the layer before it)."""
    body = _fully_connected(_pooled(last_conv, bn_mom), num_classes, "pre_fc1")
    parameters = {
        part: mx.sym.var(f"fc1_{part}") for part in ("gamma", "beta", "moving_mean", "moving_var")
    }
    body = mx.sym.BatchNorm(
        body, name="fc1_norm", fix_gamma=True, eps=2e-5, momentum=bn_mom, **parameters
    )
    slope = mx.sym.var("fc1_relu_gamma", init=mx.init.Constant(0.25))
    return mx.sym.LeakyReLU(body, slope, act_type="prelu", name="fc1")


def _head_e(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    dropped = _dropped(last_conv, bn_mom)
    return _final_norm(_fully_connected(dropped, num_classes, "pre_fc1"), bn_mom)


def _head_f(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _fully_connected(_dropped(last_conv, bn_mom), num_classes, "fc1")


def _head_g(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _fully_connected(batch_norm(last_conv, "bn1", bn_mom), num_classes, "fc1")


def _head_h(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _fully_connected(last_conv, num_classes, "fc1")


def _head_j(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return _final_norm(_fully_connected(last_conv, num_classes, "pre_fc1"), bn_mom)


def _head_z(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    return mx.sym.Flatten(_dropped(last_conv, bn_mom), name="fc1")


def _head_gdc(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    """Global depthwise convolution (MobileFaceNets, arXiv 1804.07573, table 1)."""
    # (N, 512, 1, 1)
    body = linear_convolution(last_conv, 512, "conv_6dw7_7", kernel=7, num_group=512, bn_mom=bn_mom)
    return _final_norm(_fully_connected(body, num_classes, "pre_fc1"), bn_mom)


def _equal_norms(body: mx.sym.Symbol) -> mx.sym.Symbol:
    """The channel vectors at all positions of the map, scaled to the same length.

    2018: this length is the mean over the *whole batch*, so the scale of an embedding depends on
    the other images in its batch.
    """
    # (N, 1, H, W); the bound avoids NaN for a vector of zeros.
    length = mx.sym.sqrt(mx.sym.maximum(mx.sym.sum(body * body, axis=1, keepdims=True), 1e-20))
    return mx.sym.broadcast_mul(body, mx.sym.broadcast_div(mx.sym.mean(length), length))


def _head_gnap(last_conv: mx.sym.Symbol, num_classes: int, bn_mom: float) -> mx.sym.Symbol:
    """Global norm-aware pooling (MobileFaceNet++), for embeddings of any size."""
    _require_channels(last_conv, GNAP_CHANNELS, "GNAP")
    body = last_conv
    if num_classes > GNAP_CHANNELS:
        body = convolution(body, num_classes, "convx")
        body = activation(batch_norm(body, "convx_bn", bn_mom), "convx_relu")
    # (N, max(512, num_classes), 7, 7)
    body = _equal_norms(batch_norm(body, "bn6f", bn_mom, fix_gamma=True))
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg")
    if num_classes < GNAP_CHANNELS:
        body = batch_norm(body, "bn6w", bn_mom, fix_gamma=True)
        return _final_norm(_fully_connected(body, num_classes, "pre_fc1"), bn_mom)
    return _final_norm(mx.sym.Flatten(body), bn_mom)


def _require_channels(last_conv: mx.sym.Symbol, channels: int, fc_type: str) -> None:
    (shape,) = infer_shapes(last_conv, data=INPUT_SHAPE).outputs
    if shape[1] != channels:
        raise InputError(
            f"--version-output {fc_type} needs a network that ends in {channels} channels; "
            f"this one ends in {shape[1]}: use another --version-output"
        )


HEADS: dict[str, Callable[[mx.sym.Symbol, int, float], mx.sym.Symbol]] = {
    "A": _head_a,
    "B": _head_b,
    "C": _head_c,
    "D": _head_d,
    "E": _head_e,
    "F": _head_f,
    "G": _head_g,
    "H": _head_h,
    "J": _head_j,
    "K": _head_b,
    "Z": _head_z,
    "GAP": _head_c,
    "GNAP": _head_gnap,
    "GDC": _head_gdc,
}


def get_fc1(
    last_conv: mx.sym.Symbol, num_classes: int, fc_type: str, bn_mom: float = 0.9
) -> mx.sym.Symbol:
    """The embedding, a symbol of shape (N, num_classes) whose output is `fc1_output`.

    Parameters
    ----------
    last_conv
        The network's last feature map, (N, C, H, W), 7×7 for photos of 112×112.
    num_classes
        The embedding size, D.
    fc_type
        GP: average over the map, FC: fully connected, BN: batch normalisation.
        A: BN PReLU GP (D is the number of channels) · B, K: A, FC · C, GAP: B, BN · D: C, PReLU ·
        E: BN dropout FC BN · F: BN dropout FC · G: BN FC · H: FC · J: FC BN · Z: BN dropout (D is
        the size of the map) · GDC: 7×7 depthwise convolution, FC, BN · GNAP: norm-aware GP,
        (BN FC) BN.

    Raises
    ------
    InputError
        For an unknown head, or one that does not fit the feature map.
    """
    if fc_type not in HEADS:
        raise InputError(f"--version-output {fc_type}: expected one of {', '.join(HEADS)}")
    return HEADS[fc_type](last_conv, num_classes, bn_mom)


_NAMES_OF_2018 = dict.fromkeys(("Act", "Conv", "Linear"), "src.symbols.names_2018")

__getattr__ = forward(__name__, {**_NAMES_OF_2018, "get_head": "src.symbols.stem"})
