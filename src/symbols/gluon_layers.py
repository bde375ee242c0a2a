"""Layers named as Gluon names its own: two of the 2018 networks (m2, n) were Gluon blocks.

A layer called `conv0` is the node `conv0_fwd` with the parameter `conv0_weight`; the statistics of
a batch normalisation are *running* ones. Every parameter carries multipliers of 1, and says itself
what it starts from.
"""

from src.common.mxnet_backend import mx


def _parameter(name, init=None):
    return mx.sym.var(name, lr_mult=1.0, wd_mult=1.0, init=init)


def gluon_convolution(data, num_filter, name, kernel=1, stride=1, pad=0, num_group=1):
    """Convolution without bias, (N, C, H, W) -> (N, num_filter, H', W')."""
    return mx.sym.Convolution(
        data,
        _parameter(f"{name}_weight"),
        num_filter=num_filter,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=num_group,
        no_bias=True,
        name=f"{name}_fwd",
    )


def gluon_batch_norm(data, name, bn_mom=0.9, eps=1e-5):
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) with Gluon's own epsilon."""
    return mx.sym.BatchNorm(
        data,
        _parameter(f"{name}_gamma", "ones"),
        _parameter(f"{name}_beta", "zeros"),
        _parameter(f"{name}_running_mean", "zeros"),
        _parameter(f"{name}_running_var", "ones"),
        fix_gamma=False,
        eps=eps,
        momentum=bn_mom,
        name=f"{name}_fwd",
    )


def gluon_relu(data, name):
    """max(data, 0)."""
    return mx.sym.Activation(data, act_type="relu", name=f"{name}_fwd")
