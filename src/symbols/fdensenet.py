"""DenseNet-BC (Huang et al., arXiv 1608.06993, table 1), d121, d161, d169 and d201."""

from src.common.mxnet_backend import mx
from src.symbols.stem import get_head
from src.symbols.symbol_utils import activation, batch_norm, convolution, get_fc1
from src.symbols.versions import check_depth, check_version

# Layers in each of the four dense blocks, and channels that a layer adds (growth rate k).
LAYERS = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
}
DROPOUT = 0.2


def dense_convolution(data, num_filter, kernel, name, number, bn_mom):
    """BN, ReLU, convolution, dropout: H_l of the paper's section 3, the layer's `number`-th."""
    body = batch_norm(data, f"{name}_bn{number}", bn_mom)
    body = activation(body, f"{name}_relu{number}", "relu")
    body = convolution(body, num_filter, kernel, 1, f"{name}_conv{number}")
    return mx.sym.Dropout(body, p=DROPOUT, name=f"{name}_dp{number}")


def dense_block(data, layers, growth, name, bn_mom):
    """(N, C, H, W) -> (N, C + layers · growth, H, W): each layer sees all before it."""
    for layer in range(1, layers + 1):
        unit = f"{name}_unit{layer}"
        body = dense_convolution(data, 4 * growth, 1, unit, 1, bn_mom)
        body = dense_convolution(body, growth, 3, unit, 2, bn_mom)
        data = mx.sym.Concat(data, body, name=f"{name}_concat{layer}")
    return data


def transition(data, num_filter, stage, bn_mom):
    """(N, C, H, W) -> (N, num_filter, H/2, W/2) between two dense blocks."""
    name = f"TBstage{stage}"
    body = dense_convolution(data, num_filter, 1, name, 1, bn_mom)
    return mx.sym.Pooling(
        body, kernel=(2, 2), stride=(2, 2), pool_type="avg", name=f"{name}_pool{stage}"
    )


def get_symbol(num_classes, num_layers, version_input=1, version_output="E", bn_mom=0.9, **unused):
    """A DenseNet up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : {121, 161, 169, 201}
    version_input : {0, 1}
        See `stem.get_head`.
    version_output : str
        The head, see `symbol_utils.get_fc1`.
    bn_mom : float
        2018: fixed at 0.9.
    unused
        The other networks' versions, which this one does not have.

    Raises
    ------
    InputError
        For a depth or a version that does not exist, or a head that does not fit.
    """
    check_depth("d", num_layers, LAYERS)
    check_version("input", version_input, "a d network")
    blocks, growth = LAYERS[num_layers]
    channels = 2 * growth
    body = get_head(mx.sym.var("data"), version_input, channels, bn_mom)
    # (N, …, 56, 56), (N, …, 28, 28), (N, …, 14, 14), (N, …, 7, 7)
    for stage, layers in enumerate(blocks, 1):
        body = dense_block(body, layers, growth, f"DBstage{stage}", bn_mom)
        if stage < len(blocks):
            # 2018: counted as if the first map had 2 · growth channels, which `get_head` may cut.
            channels = (channels + layers * growth) // 2
            body = transition(body, channels, stage, bn_mom)
    return get_fc1(body, num_classes, version_output, bn_mom)
