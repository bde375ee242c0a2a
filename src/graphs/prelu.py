"""PReLU rewritten: on the CPU several times as fast, and in training with the right gradient.

MXNet's PReLU only supports the plain memory layout, so every PReLU makes oneDNN convert its blocked
layout and back. For every slope

    PReLU(x) = slope · x + (1 - slope) · relu(x)

and two layers that scale each channel keep the blocked layout: batch normalisation with fixed
statistics, which is faster in training, and a depthwise 1×1 convolution, which the inference
backend fuses with the sum.

The saved symbol is always the original one, with the original parameters.

The gradients are those of the formula. MXNet 1.9.1's own PReLU overwrites the gradient of its
output with that of its input, and then computes the slope's from it, which is therefore too small
by the factor slope. Only next to operators of oneDNN the two are apart, as their layouts differ.
So a GPU, on which every PReLU is affected, is given another form for training, which any device
computes correctly, needs no more memory, and consists of elementwise operators:

    PReLU(x) = x + (1 - slope) · relu(-x)
"""

from src.common.mxnet_backend import Parameters, mx
from src.graphs.writer import (
    Entry,
    Graph,
    GraphWriter,
    Node,
    rewrite_nodes,
    rewrite_symbol,
    shapes_before,
)

MARK = "_cpu_graph"
NEGATIVE_PART = f"{MARK}_negative"  # the only array that the form for GPUs keeps

Shape = tuple[int, ...]


def is_prelu(node: Node) -> bool:
    """Whether a node is a PReLU: the leaky ReLU whose slopes are learnt."""
    attributes = node.get("attrs", {})
    return node["op"] == "LeakyReLU" and attributes.get("act_type", "leaky") == "prelu"


def add_normalising_prelu(writer: GraphWriter, name: str, data: Entry, slope: Entry) -> Entry:
    """slope · data + (1 - slope) · relu(data), as two batch normalisations and a sum.

    The statistics are fixed at mean 0 and variance 1. The gradient reaches data and slope; the
    offset is 0 and gets none.
    """
    prefix = f"{name}{MARK}"
    # Named after the slope, whose shape `extra_auxiliary` looks up by this name.
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
    # The sum has the PReLU's name, so the symbol's outputs keep theirs.
    return writer.add("elemwise_add", name, [linear, bent])


def add_depthwise_prelu(
    writer: GraphWriter, name: str, data: Entry, slope: Entry, channels: int
) -> Entry:
    """slope · data + (1 - slope) · relu(data), as two depthwise 1×1 convolutions and a sum."""
    prefix = f"{name}{MARK}"
    rest = writer.add("_rminus_scalar", f"{prefix}_rest", [slope], scalar="1")
    positive = writer.add("Activation", f"{prefix}_relu", [data], act_type="relu")
    linear = add_channel_scale(writer, f"{prefix}_linear", data, slope, channels)
    bent = add_channel_scale(writer, f"{prefix}_bent", positive, rest, channels)
    return writer.add("elemwise_add", name, [linear, bent])


def add_channel_scale(
    writer: GraphWriter, name: str, data: Entry, scale: Entry, channels: int
) -> Entry:
    """`data` (N, C, H, W) with each channel multiplied by its entry of `scale` (C,)."""
    for axis in range(3):  # (C,) to (C, 1, 1, 1); shape inference works backwards through these
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


def add_elementwise_prelu(
    writer: GraphWriter, name: str, data: Entry, slope: Entry, dimensions: int
) -> Entry:
    """data + (1 - slope) · relu(-data), for data of that many dimensions.

    Only relu(-data) is kept for the gradient, as large as what MXNet's PReLU keeps.
    """
    prefix = f"{name}{MARK}"
    factor = writer.add("_rminus_scalar", f"{prefix}_rest", [slope], scalar="1")
    for axis in (0, *range(2, dimensions)):  # (C,) to (1, C, 1, 1)
        factor = writer.add("expand_dims", f"{prefix}_axis{axis}", [factor], axis=str(axis))
    opposite = writer.add("negative", f"{prefix}_opposite", [data])
    negative = writer.add("Activation", f"{name}{NEGATIVE_PART}", [opposite], act_type="relu")
    lift = writer.add("broadcast_mul", f"{prefix}_lift", [negative, factor])
    return writer.add("elemwise_add", name, [data, lift])


def add_flatten(writer: GraphWriter, node: Node, data: Entry) -> Entry:
    """`data` as (N, everything else), which is how the fully connected `node` uses it."""
    if node.get("attrs", {}).get("flatten", "True") not in ("True", "1"):
        return data
    return writer.add("Flatten", f"{node['name']}{MARK}_flat", [data])


def add_plain_layout(writer: GraphWriter, name: str, data: Entry) -> Entry:
    """`data`, maps of 1×1, in the plain memory layout."""
    flat = writer.add("Flatten", f"{name}{MARK}_flat", [data])
    return writer.add("Reshape", f"{name}{MARK}_plain", [flat], shape="(0, 0, 1, 1)")


def has_slope_per_channel(node: Node, data_shape: Shape, shapes: dict[int, Shape]) -> bool:
    """Whether a PReLU has one slope per channel; other programs may write one for all channels."""
    slope = shapes.get(node["inputs"][1][0], ())
    return len(data_shape) < 2 or slope != (1,) or data_shape[1] == 1


def rewrite_prelu(symbol: mx.sym.Symbol, for_training: bool) -> mx.sym.Symbol:
    """The same function with each PReLU rewritten, and without two crashes of MXNet 1.9.1.

    MXNet 1.9.1 confuses a batch normalisation over 1×1 maps in oneDNN's layout (as in GNAP) with
    one over vectors, if they are otherwise equal: when both are in one process, the second crashes
    it. So the first one gets the plain layout.

    Parameters
    ----------
    for_training
        False gives the graph for inference, and adds a Flatten before every fully connected layer:
        MXNet 1.9.1's oneDNN backend fails at the second inference if a 1×1 map is the input of one
        ("Check failed: !IsMKLDNNData()").

    Returns
    -------
    symbol
        Same arguments and outputs in the same order. It may have more auxiliary states, see
        `extra_auxiliary`.
    """
    return rewrite_symbol(lambda graph: _rewrite(graph, for_training), symbol)


def correct_slope_gradients(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The same function with the right gradient of each PReLU's slopes, for training on a GPU.

    Returns
    -------
    symbol
        Same arguments, auxiliary states and outputs, in the same order.
    """
    return rewrite_symbol(_correct, symbol, "LeakyReLU")


def _correct(graph: Graph) -> Graph:
    nodes = graph["nodes"]
    shapes = shapes_before(nodes, [i for i, node in enumerate(nodes) if is_prelu(node)])

    def replace(writer: GraphWriter, index: int, node: Node, inputs: list[Entry]) -> Entry | None:
        shape = shapes.get(node["inputs"][1][0]) if is_prelu(node) else None
        if shape is None or index not in shapes:
            return None
        data, slope = inputs
        # A product does not tell the shape of its factors, as a PReLU does.
        variable = writer.nodes[slope[0]]
        variable["attrs"] = {**variable.get("attrs", {}), "__shape__": str(shape)}
        return add_elementwise_prelu(writer, node["name"], data, slope, len(shapes[index]))

    return rewrite_nodes(graph, replace)


def _rewrite(graph: Graph, for_training: bool) -> Graph:
    nodes = graph["nodes"]
    of_interest = [i for i, n in enumerate(nodes) if is_prelu(n) or n["op"] == "BatchNorm"]
    shapes = shapes_before(nodes, of_interest)

    def replace(writer: GraphWriter, index: int, node: Node, inputs: list[Entry]) -> Entry | None:
        shape = shapes.get(index, ())
        if node["op"] == "FullyConnected" and not for_training:
            inputs[0] = add_flatten(writer, node, inputs[0])
        if node["op"] == "BatchNorm" and len(shape) == 4 and shape[2:] == (1, 1):
            inputs[0] = add_plain_layout(writer, node["name"], inputs[0])
        if not is_prelu(node) or not has_slope_per_channel(node, shape, shapes):
            return None
        data, slope = inputs
        if len(shape) == 4 and shape[1] > 0 and not for_training:
            return add_depthwise_prelu(writer, node["name"], data, slope, shape[1])
        return add_normalising_prelu(writer, node["name"], data, slope)

    return rewrite_nodes(graph, replace)


def extra_auxiliary(rewritten: mx.sym.Symbol, arg_params: Parameters) -> Parameters:
    """The auxiliary states, each (C,), that a rewritten symbol has in addition to the original's.

    Parameters
    ----------
    rewritten
        The result of `rewrite_prelu`.
    arg_params
        The original's parameters; the slopes give the number of channels.
    """
    states = {}
    for name in rewritten.list_auxiliary_states():
        if MARK in name:
            slope = arg_params[name[: name.index(MARK)]]
            constant = mx.nd.ones if name.endswith("_var") else mx.nd.zeros
            states[name] = constant(slope.shape)
    return states


def original_parameters(
    arg_params: Parameters, aux_params: Parameters
) -> tuple[Parameters, Parameters]:
    """(arg_params, aux_params) without what `rewrite_prelu` added."""
    return arg_params, {name: value for name, value in aux_params.items() if MARK not in name}
