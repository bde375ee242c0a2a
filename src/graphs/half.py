"""Graphs whose network computes in float16, for GPUs, with a classifier and a loss in float32."""

from src.common.mxnet_backend import mx
from src.graphs.writer import Entry, Graph, GraphWriter, Node, rewrite_nodes, rewrite_symbol

# The operators that end a graph, whose gradients do not depend on what follows.
LOSSES = ("SoftmaxOutput", "MakeLoss")


def in_half(network: mx.sym.Symbol) -> mx.sym.Symbol:
    """The network from `data` to its embedding in float16; input and output are float32.

    MXNet keeps batch normalisation's parameters and statistics in float32, and computes the means
    of float16 in float32.
    """
    data = mx.sym.Cast(mx.sym.var("data"), dtype="float16", name="data_half")
    return mx.sym.Cast(network(data=data), dtype="float32", name="embedding_full")


def scale_loss(symbol: mx.sym.Symbol, scale: float) -> mx.sym.Symbol:
    """The graph with gradients that are `scale` times as large, and unchanged outputs.

    Small gradients would otherwise be 0 in float16.
    """

    def replace(writer: GraphWriter, _: int, node: Node, inputs: list[Entry]) -> Entry | None:
        if node["op"] not in LOSSES:
            return None
        attributes = dict(node.get("attrs", {}))
        attributes["grad_scale"] = repr(float(attributes.get("grad_scale", 1)) * scale)
        return writer.add(node["op"], node["name"], inputs, **attributes)

    def rewrite(graph: Graph) -> Graph:
        return rewrite_nodes(graph, replace)

    return rewrite_symbol(rewrite, symbol)
