"""Graphs as JSON: reading a symbol, rewriting its nodes, and making a symbol of the result.

Unused nodes may stay in the list: MXNet drops them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from src.common.mxnet_backend import mx
from src.graphs.shapes import INPUT_SHAPE

Node = dict[str, Any]
Graph = dict[str, Any]  # the JSON of a symbol
Entry = list[int]  # an output of a node: [node, output, version]

_VERSION = {"mxnet_version": ["int", 10901]}


class GraphWriter:
    """Nodes of a new graph; a node's inputs are added before it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, op: str, name: str, inputs: Iterable[Entry] = (), **attributes: str) -> Entry:
        """Appends a node and returns its first output."""
        node: Node = {"op": op, "name": name, "inputs": [list(entry) for entry in inputs]}
        if attributes:
            node["attrs"] = attributes
        self.nodes.append(node)
        return [len(self.nodes) - 1, 0, 0]

    def to_graph(self, heads: list[Entry], attributes: dict[str, Any] | None = None) -> Graph:
        """The graph whose outputs are `heads`."""
        variables = [i for i, node in enumerate(self.nodes) if node["op"] == "null"]
        return {
            "nodes": self.nodes,
            "arg_nodes": variables,
            "heads": heads,
            "attrs": attributes or _VERSION,
        }


def to_symbol(graph: Graph) -> mx.sym.Symbol:
    """The symbol of a graph."""
    return mx.sym.load_json(json.dumps(graph))


def rewrite_symbol(
    rewrite: Callable[[Graph], Graph], symbol: mx.sym.Symbol, operator: str = ""
) -> mx.sym.Symbol:
    """The symbol after a rewrite; the symbol itself if the rewrite does not change it.

    Parameters
    ----------
    rewrite
        Returns its argument if there is nothing to change.
    operator
        The rewrite has nothing to do in a graph without this operator.
    """
    text = symbol.tojson()
    if operator not in text:
        return symbol
    graph = json.loads(text)
    rewritten = rewrite(graph)
    return symbol if rewritten is graph else to_symbol(rewritten)


def rewrite_nodes(
    graph: Graph, replace: Callable[[GraphWriter, int, Node, list[Entry]], Entry | None]
) -> Graph:
    """A copy of a graph in which some nodes are replaced.

    Parameters
    ----------
    replace
        Called with (writer, index, node, the node's inputs in the new graph). Returns the output
        that it added in the node's place, or None to keep the node.
    """
    writer = GraphWriter()
    places: list[int] = []  # of each old node: its index in the new graph
    for index, node in enumerate(graph["nodes"]):
        inputs = [[places[i], output, version] for i, output, version in node["inputs"]]
        entry = replace(writer, index, node, inputs)
        if entry is None:
            entry = writer.add(node["op"], node["name"], inputs, **node.get("attrs", {}))
        places.append(entry[0])
    heads = [[places[i], output, version] for i, output, version in graph["heads"]]
    return writer.to_graph(heads, graph["attrs"])


def shapes_before(nodes: list[Node], wanted: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Output shapes, by node index, of the wanted nodes and everything they are computed from.

    For one photo of 112×112. Nodes after them are left out, because they may need more than one
    photo, as the triplet loss does. Nodes with several outputs are left out too.
    """
    if not wanted:
        return {}
    writer = GraphWriter()
    indices = {}
    for index, node in enumerate(nodes):
        # Some graphs of 2018 have the same name twice.
        name = node["name"] if node["op"] == "null" else f"node{index}"
        indices[name if node["op"] == "null" else f"{name}_output"] = index
        writer.add(node["op"], name, node["inputs"], **node.get("attrs", {}))
    heads = [[index, 0, 0] for index in wanted]
    internals = to_symbol(writer.to_graph(heads)).get_internals()
    _, shapes, _ = internals.infer_shape_partial(data=INPUT_SHAPE)
    by_name = zip(internals.list_outputs(), shapes, strict=True)
    return {indices[name]: shape for name, shape in by_name if name in indices}
