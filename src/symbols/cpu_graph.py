"""Symbols rewritten for the CPU when they are bound: the same function, several times as fast.

MXNet's PReLU knows only the plain memory layout, so that every PReLU makes oneDNN leave its blocked
one and come back. For every slope

    PReLU(x) = slope · x + (1 - slope) · relu(x)

and two layers that scale each channel stay in the blocked layout: batch normalisation with given
statistics, which is the faster one in training, and a depthwise convolution of 1×1, which the
inference backend fuses with the sum.

What is saved is always the original symbol with the original parameters.

The gradients are the formula's. MXNet's own PReLU gives that of its slope too small by the factor
slope where it may write one gradient over another, which depends on the layers around it; in the
published MobileFaceNet it happens not to.
"""

import json

from src.common.mxnet_backend import mx
from src.symbols.graph_writer import rewrite_nodes, shapes_before

MARK = "_cpu_graph"


def is_prelu(node):
    """Whether a node of a symbol's JSON is a PReLU, the leaky ReLU whose slopes are learnt."""
    attributes = node.get("attrs", {})
    return node["op"] == "LeakyReLU" and attributes.get("act_type", "leaky") == "prelu"


def add_normalising_prelu(writer, name, data, slope):
    """slope · data + (1 - slope) · relu(data), as two batch normalisations and a sum.

    Statistics are fixed at mean 0 and variance 1. The gradient reaches data and slope; the offset
    is 0 and gets none.
    """
    prefix = f"{name}{MARK}"
    # Named after the slope, which tells their length when they are filled in.
    state = f"{writer.nodes[slope[0]]['name']}{MARK}_{name}"
    mean = writer.add("null", f"{state}_moving_mean", __init__='["zero", {}]')
    variance = writer.add("null", f"{state}_moving_var", __init__='["one", {}]')
    offset = writer.add("zeros_like", f"{prefix}_zeros", [slope])
    offset = writer.add("BlockGrad", f"{prefix}_offset", [offset])
    rest = writer.add("_rminus_scalar", f"{prefix}_rest", [slope], scalar="1")
    positive = writer.add("Activation", f"{prefix}_relu", [data], act_type="relu")
    fixed = {"eps": "0", "fix_gamma": "False", "use_global_stats": "True"}
    linear = writer.add(
        "BatchNorm", f"{prefix}_linear", [data, slope, offset, mean, variance], **fixed
    )
    bent = writer.add(
        "BatchNorm", f"{prefix}_bent", [positive, rest, offset, mean, variance], **fixed
    )
    # The sum bears the PReLU's name, so that the symbol's outputs keep theirs.
    return writer.add("elemwise_add", name, [linear, bent])


def add_depthwise_prelu(writer, name, data, slope, channels):
    """slope · data + (1 - slope) · relu(data), as two depthwise convolutions of 1×1 and a sum."""
    prefix = f"{name}{MARK}"
    rest = writer.add("_rminus_scalar", f"{prefix}_rest", [slope], scalar="1")
    positive = writer.add("Activation", f"{prefix}_relu", [data], act_type="relu")
    linear = add_channel_scale(writer, f"{prefix}_linear", data, slope, channels)
    bent = add_channel_scale(writer, f"{prefix}_bent", positive, rest, channels)
    return writer.add("elemwise_add", name, [linear, bent])


def add_channel_scale(writer, name, data, scale, channels):
    """`data` (N, C, H, W), each channel times its entry of `scale` (C,)."""
    for axis in range(3):  # (C,) to (C, 1, 1, 1); shape inference goes backward through these
        scale = writer.add("expand_dims", f"{name}_weight{axis}", [scale], axis="1")
    return writer.add(
        "Convolution",
        name,
        [data, scale],
        kernel="(1, 1)",
        num_filter=str(channels),
        num_group=str(channels),
        no_bias="True",
    )


def add_flatten(writer, node, data):
    """`data` as (N, everything else), which is how the fully connected `node` takes it."""
    if node.get("attrs", {}).get("flatten", "True") not in ("True", "1"):
        return data
    return writer.add("Flatten", f"{node['name']}{MARK}_flat", [data])


def add_plain_layout(writer, name, data):
    """`data`, maps of 1×1, in the plain memory layout."""
    flat = writer.add("Flatten", f"{name}{MARK}_flat", [data])
    return writer.add("Reshape", f"{name}{MARK}_plain", [flat], shape="(0, 0, 1, 1)")


def has_slope_per_channel(node, data_shape, shapes):
    """Whether a PReLU has one slope a channel: other programs also write one for all channels."""
    slope = shapes.get(node["inputs"][1][0], ())
    return len(data_shape) < 2 or slope != (1,) or data_shape[1] == 1


def rewrite_prelu(symbol, for_training):
    """The same function with each PReLU written as the module says, and free of two crashes.

    MXNet 1.9.1 takes a batch normalisation of maps of 1×1 in oneDNN's layout (as in GNAP) for one
    of vectors, if they are otherwise alike: where both are in one process, the second ends it with
    a segmentation fault. So the first is given the plain layout.

    Parameters
    ----------
    symbol : Symbol
        With the input `data`, (N, 3, H, W).
    for_training : bool
        False gives the graph for inference, and adds a Flatten before every fully connected layer:
        MXNet 1.9.1's oneDNN backend fails at the second inference where a map of 1×1 goes straight
        into one ("Check failed: !IsMKLDNNData()").

    Returns
    -------
    rewritten : Symbol
        Same arguments and outputs in the same order; it may have more auxiliary states, see
        `extra_auxiliary`.
    """
    graph = json.loads(symbol.tojson())
    nodes = graph["nodes"]
    of_interest = [i for i, n in enumerate(nodes) if is_prelu(n) or n["op"] == "BatchNorm"]
    shapes = shapes_before(nodes, of_interest)

    def replace(writer, index, node, inputs):
        shape = shapes.get(index, ())
        if node["op"] == "FullyConnected" and not for_training:
            inputs[0] = add_flatten(writer, node, inputs[0])
        if node["op"] == "BatchNorm" and len(shape) == 4 and shape[2:] == (1, 1):
            inputs[0] = add_plain_layout(writer, node["name"], inputs[0])
        if not is_prelu(node) or not has_slope_per_channel(node, shape, shapes):
            return None
        if len(shape) == 4 and shape[1] > 0 and not for_training:
            return add_depthwise_prelu(writer, node["name"], *inputs, shape[1])
        return add_normalising_prelu(writer, node["name"], *inputs)

    return rewrite_nodes(graph, replace)


def extra_auxiliary(rewritten, arg_params):
    """The auxiliary states that `rewritten` has beside the original's: {name: NDArray (C,)}.

    Parameters
    ----------
    rewritten : Symbol
        What `rewrite_prelu` gave.
    arg_params : dict of str to NDArray
        The original's parameters; the slopes say how many channels each state has.
    """
    states = {}
    for name in rewritten.list_auxiliary_states():
        if MARK in name:
            slope = arg_params[name[: name.index(MARK)]]
            constant = mx.nd.ones if name.endswith("_var") else mx.nd.zeros
            states[name] = constant(slope.shape)
    return states


def original_parameters(arg_params, aux_params):
    """(arg_params, aux_params) without what `rewrite_prelu` added: what a checkpoint holds."""
    return arg_params, {name: value for name, value in aux_params.items() if MARK not in name}
