"""DenseNet-BC (Huang et al., arXiv 1608.06993, table 1), d121, d161, d169 and d201."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.stem import get_head
from src.symbols.symbol_utils import activation, batch_norm, convolution, get_fc1

# Layers in each of the four dense blocks, and channels that a layer adds (growth rate k).
LAYERS = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
}
DROPOUT = 0.2


def dense_convolution(
    data: mx.sym.Symbol, num_filter: int, kernel: int, name: str, number: int, bn_mom: float
) -> mx.sym.Symbol:
    """BN, ReLU, convolution, dropout: H_l in section 3 of the paper.

    (N, C, H, W) -> (N, num_filter, H, W); `number` is part of the layers' names.
    """
    body = batch_norm(data, f"{name}_bn{number}", bn_mom)
    body = activation(body, f"{name}_relu{number}", "relu")
    body = convolution(body, num_filter, f"{name}_conv{number}", kernel)
    return mx.sym.Dropout(body, p=DROPOUT, name=f"{name}_dp{number}")


def dense_block(
    data: mx.sym.Symbol, layers: int, growth: int, name: str, bn_mom: float
) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, C + layers · growth, H, W): each layer's input is all earlier outputs."""
    for layer in range(1, layers + 1):
        unit = f"{name}_unit{layer}"
        body = dense_convolution(data, 4 * growth, 1, unit, 1, bn_mom)
        body = dense_convolution(body, growth, 3, unit, 2, bn_mom)
        data = mx.sym.Concat(data, body, name=f"{name}_concat{layer}")
    return data


def transition(data: mx.sym.Symbol, num_filter: int, stage: int, bn_mom: float) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, num_filter, H/2, W/2) between two dense blocks."""
    name = f"TBstage{stage}"
    body = dense_convolution(data, num_filter, 1, name, 1, bn_mom)
    return mx.sym.Pooling(
        body, kernel=(2, 2), stride=(2, 2), pool_type="avg", name=f"{name}_pool{stage}"
    )


def get_symbol(
    num_classes: int,
    num_layers: int,
    version_input: int = 1,
    version_output: str = "E",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """A DenseNet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        121, 161, 169 or 201
    version_input
        0, or 1 or 2, which are the same; see `stem.get_head`.
    version_output
        The head, see `symbol_utils.get_fc1`.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a depth or a version that does not exist, or a head that does not fit.
    """
    SPEC.check(num_layers, input=version_input)
    blocks, growth = LAYERS[num_layers]
    channels = 2 * growth
    body = get_head(mx.sym.var("data"), version_input, channels, bn_mom)
    # (N, …, 56, 56), (N, …, 28, 28), (N, …, 14, 14), (N, …, 7, 7)
    for stage, layers in enumerate(blocks, 1):
        body = dense_block(body, layers, growth, f"DBstage{stage}", bn_mom)
        if stage < len(blocks):
            # 2018: assumes 2 · growth channels in the first map; `get_head` may return fewer.
            channels = (channels + layers * growth) // 2
            body = transition(body, channels, stage, bn_mom)
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="d",
    family="DenseNet",
    paper="1608.06993",
    build=get_symbol,
    rows=[Row(f"d{depth}") for depth in LAYERS],
    numbers=tuple(LAYERS),
    versions={"input": (0, 1, 2)},
)
