"""Layers that the networks share, and the heads that end them (`get_fc1`).

Every function takes and returns symbols. Names of parameters are those of 2018: a published
checkpoint loads into a symbol built here.
"""

from src.common.errors import InputError
from src.common.mxnet_backend import mx

INPUT_SHAPE = (1, 3, 112, 112)  # what the channels of a feature map are inferred from
GNAP_CHANNELS = 512


def scaled_pixels(data):
    """Pixels 0..255 to about -1..1: (data - 127.5) / 128."""
    return (data - 127.5) * 0.0078125


def batch_norm(data, name, bn_mom=0.9, fix_gamma=False, eps=2e-5):
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), the resnets' epsilon."""
    return mx.sym.BatchNorm(data, name=name, fix_gamma=fix_gamma, eps=eps, momentum=bn_mom)


def activation(data, name, act_type="prelu"):
    """PReLU (He et al., arXiv 1502.01852) with one learnt slope a channel, or what is named.

    Parameters
    ----------
    act_type : {'prelu', 'relu', 'sigmoid', 'softrelu', 'softsign', 'tanh'}
    """
    if act_type == "prelu":
        return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
    return mx.sym.Activation(data, act_type=act_type, name=name)


def convolution(data, num_filter, kernel, stride, name, **settings):
    """Convolution without bias: (N, C, H, W) -> (N, num_filter, H/stride, W/stride)."""
    return mx.sym.Convolution(
        data,
        num_filter=num_filter,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        no_bias=True,
        name=name,
        **settings,
    )


def linear_convolution(
    data, num_filter, name, kernel=1, stride=1, pad=0, num_group=1, bn_mom=0.9, fix_gamma=False
):
    """Convolution and batch normalisation, named as the mobile networks name them.

    (N, C, H, W) -> (N, num_filter, H', W'). The batch normalisation keeps MXNet's own epsilon.
    """
    convolved = mx.sym.Convolution(
        data,
        num_filter=num_filter,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=num_group,
        no_bias=True,
        name=f"{name}_conv2d",
    )
    return mx.sym.BatchNorm(
        convolved, fix_gamma=fix_gamma, momentum=bn_mom, name=f"{name}_batchnorm"
    )


def activated_convolution(data, num_filter, name, **settings):
    """Convolution, batch normalisation and PReLU; settings as in `linear_convolution`."""
    return activation(linear_convolution(data, num_filter, name, **settings), f"{name}_relu")


def squeeze_excite(data, num_filter, name, act_type="prelu"):
    """Channels weighted by what the whole map says of them (Hu et al., arXiv 1709.01507, fig. 2).

    (N, num_filter, H, W) -> the same shape; the squeeze is to num_filter // 16.
    """
    # (N, num_filter, 1, 1)
    weight = mx.sym.Pooling(
        data, global_pool=True, kernel=(7, 7), pool_type="avg", name=f"{name}_se_pool1"
    )
    # (N, num_filter // 16, 1, 1)
    weight = mx.sym.Convolution(
        weight, num_filter=num_filter // 16, kernel=(1, 1), name=f"{name}_se_conv1"
    )
    weight = activation(weight, f"{name}_se_relu1", act_type)
    # (N, num_filter, 1, 1)
    weight = mx.sym.Convolution(
        weight, num_filter=num_filter, kernel=(1, 1), name=f"{name}_se_conv2"
    )
    weight = mx.sym.Activation(weight, act_type="sigmoid", name=f"{name}_se_sigmoid")
    return mx.sym.broadcast_mul(data, weight)


# The heads: last feature map (N, C, H, W) -> embeddings (N, num_classes).


def _fully_connected(data, num_classes, name):
    return mx.sym.FullyConnected(data, num_hidden=num_classes, name=name)


def _pre_fc1_as_fc1(data, num_classes):
    """A layer called fc1 with parameters called pre_fc1, as the heads B and K have."""
    weight, bias = mx.sym.var("pre_fc1_weight"), mx.sym.var("pre_fc1_bias")
    return mx.sym.FullyConnected(data, weight, bias, num_hidden=num_classes, name="fc1")


def _final_norm(data, bn_mom):
    return batch_norm(data, "fc1", bn_mom, fix_gamma=True)


def _pooled(last_conv, bn_mom, flat_name=None):
    """(N, C, H, W) -> (N, C): normalised, activated, averaged over the map."""
    # 2018: PReLU whatever --version-act says.
    body = activation(batch_norm(last_conv, "bn1", bn_mom), "relu1")
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    return mx.sym.Flatten(body, name=flat_name)


def _dropped(last_conv, bn_mom):
    return mx.sym.Dropout(batch_norm(last_conv, "bn1", bn_mom), p=0.4)


def _head_a(last_conv, num_classes, bn_mom):
    return _pooled(last_conv, bn_mom, flat_name="fc1")


def _head_b(last_conv, num_classes, bn_mom):
    return _pre_fc1_as_fc1(_pooled(last_conv, bn_mom), num_classes)


def _head_c(last_conv, num_classes, bn_mom):
    pooled = _pooled(last_conv, bn_mom)
    return _final_norm(_fully_connected(pooled, num_classes, "pre_fc1"), bn_mom)


def _head_d(last_conv, num_classes, bn_mom):
    """As C, with PReLU; here fc1_output is what is trained (in 2018 the layer before it)."""
    body = _fully_connected(_pooled(last_conv, bn_mom), num_classes, "pre_fc1")
    parameters = {
        part: mx.sym.var(f"fc1_{part}") for part in ("gamma", "beta", "moving_mean", "moving_var")
    }
    body = mx.sym.BatchNorm(
        body, name="fc1_norm", fix_gamma=True, eps=2e-5, momentum=bn_mom, **parameters
    )
    slope = mx.sym.var("fc1_relu_gamma", init=mx.init.Constant(0.25))
    return mx.sym.LeakyReLU(body, slope, act_type="prelu", name="fc1")


def _head_e(last_conv, num_classes, bn_mom):
    dropped = _dropped(last_conv, bn_mom)
    return _final_norm(_fully_connected(dropped, num_classes, "pre_fc1"), bn_mom)


def _head_f(last_conv, num_classes, bn_mom):
    return _fully_connected(_dropped(last_conv, bn_mom), num_classes, "fc1")


def _head_g(last_conv, num_classes, bn_mom):
    return _fully_connected(batch_norm(last_conv, "bn1", bn_mom), num_classes, "fc1")


def _head_h(last_conv, num_classes, bn_mom):
    return _fully_connected(last_conv, num_classes, "fc1")


def _head_j(last_conv, num_classes, bn_mom):
    return _final_norm(_fully_connected(last_conv, num_classes, "pre_fc1"), bn_mom)


def _head_z(last_conv, num_classes, bn_mom):
    return mx.sym.Flatten(_dropped(last_conv, bn_mom), name="fc1")


def _head_gdc(last_conv, num_classes, bn_mom):
    """Global depthwise convolution (MobileFaceNets, arXiv 1804.07573, table 1)."""
    # (N, 512, 1, 1)
    body = linear_convolution(last_conv, 512, "conv_6dw7_7", kernel=7, num_group=512, bn_mom=bn_mom)
    return _final_norm(_fully_connected(body, num_classes, "pre_fc1"), bn_mom)


def _equal_norms(body):
    """Each place of the map scaled to the same length of its vector of channels.

    2018: that length is the mean over the *whole batch*, so an embedding depends (by scale) on the
    others in its batch.
    """
    # (N, 1, H, W); the bound keeps a vector of zeros from giving NaN.
    length = mx.sym.sqrt(mx.sym.maximum(mx.sym.sum(body * body, axis=1, keepdims=True), 1e-20))
    return mx.sym.broadcast_mul(body, mx.sym.broadcast_div(mx.sym.mean(length), length))


def _head_gnap(last_conv, num_classes, bn_mom):
    """Global norm-aware pooling (MobileFaceNet++), wider or narrower than 512 as is asked for."""
    _require_channels(last_conv, GNAP_CHANNELS, "GNAP")
    body = last_conv
    if num_classes > GNAP_CHANNELS:
        body = mx.sym.Convolution(
            body, num_filter=num_classes, kernel=(1, 1), no_bias=True, name="convx"
        )
        body = activation(batch_norm(body, "convx_bn", bn_mom), "convx_relu")
    # (N, max(512, num_classes), 7, 7)
    body = _equal_norms(batch_norm(body, "bn6f", bn_mom, fix_gamma=True))
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg")
    if num_classes < GNAP_CHANNELS:
        body = batch_norm(body, "bn6w", bn_mom, fix_gamma=True)
        return _final_norm(_fully_connected(body, num_classes, "pre_fc1"), bn_mom)
    return _final_norm(mx.sym.Flatten(body), bn_mom)


def _require_channels(last_conv, channels, fc_type):
    _, (shape,), _ = last_conv.infer_shape(data=INPUT_SHAPE)
    if shape[1] != channels:
        raise InputError(
            f"--version-output {fc_type} needs a network that ends in {channels} channels; "
            f"this one ends in {shape[1]}: take another --version-output"
        )


HEADS = {
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


def get_fc1(last_conv, num_classes, fc_type, bn_mom=0.9):
    """The embedding, a symbol of shape (N, num_classes) whose output is `fc1_output`.

    Parameters
    ----------
    last_conv : Symbol
        The network's last feature map, (N, C, H, W), 7×7 for photos of 112×112.
    num_classes : int
        The embedding size, D.
    fc_type : str
        GP: average over the map, FC: fully connected, BN: batch normalisation.
        A: BN PReLU GP (D is the number of channels) · B, K: A, FC · C, GAP: B, BN · D: C, PReLU ·
        E: BN dropout FC BN · F: BN dropout FC · G: BN FC · H: FC · J: FC BN · Z: BN dropout (D is
        all of the map) · GDC: 7×7 depthwise convolution, FC, BN · GNAP: norm-aware GP, (BN FC) BN.

    Raises
    ------
    InputError
        For an unknown head, or one that does not fit the feature map.
    """
    if fc_type not in HEADS:
        raise InputError(f"--version-output {fc_type}: expected one of {', '.join(HEADS)}")
    return HEADS[fc_type](last_conv, num_classes, bn_mom)
