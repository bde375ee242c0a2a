"""Layers with the names that Gluon gives: two of the 2018 networks (m2, n1) were Gluon blocks.

A layer called `conv0` is the node `conv0_fwd` with the parameter `conv0_weight`; the statistics of
a batch normalisation are called *running*. Every parameter has explicit multipliers of 1; those of
a batch normalisation also have an initialiser.
"""

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import convolution


def _parameter(name: str, init: str | None = None) -> mx.sym.Symbol:
    return mx.sym.var(name, lr_mult=1.0, wd_mult=1.0, init=init)


def gluon_convolution(
    data: mx.sym.Symbol,
    num_filter: int,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    pad: int = 0,
    num_group: int = 1,
) -> mx.sym.Symbol:
    """Convolution without bias, (N, C, H, W) -> (N, num_filter, H', W')."""
    weight = _parameter(f"{name}_weight")
    return convolution(
        data, num_filter, f"{name}_fwd", kernel, stride, pad, num_group, weight=weight
    )


def gluon_batch_norm(
    data: mx.sym.Symbol, name: str, bn_mom: float = 0.9, eps: float = 1e-5
) -> mx.sym.Symbol:
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) with Gluon's epsilon."""
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


def gluon_relu(data: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    """max(data, 0)"""
    return mx.sym.Activation(data, act_type="relu", name=f"{name}_fwd")
