"""What the rewritings of graphs share: shapes within a symbol, and writing a new one.

A node that nothing refers to any more may stay in the list of nodes: MXNet drops it.
"""

import json

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import INPUT_SHAPE


class GraphWriter:
    """Nodes of a new graph, in an order in which inputs come first."""

    def __init__(self):
        self.nodes = []

    def add(self, op, name, inputs=(), **attributes):
        """Appends a node; returns its first output as an entry [node, output, version]."""
        node = {"op": op, "name": name, "inputs": [list(entry) for entry in inputs]}
        if attributes:
            node["attrs"] = attributes
        self.nodes.append(node)
        return [len(self.nodes) - 1, 0, 0]

    def to_symbol(self, heads, attributes):
        """The Symbol whose outputs are the entries `heads`."""
        variables = [i for i, node in enumerate(self.nodes) if node["op"] == "null"]
        graph = {"nodes": self.nodes, "arg_nodes": variables, "heads": heads, "attrs": attributes}
        return mx.sym.load_json(json.dumps(graph))


def rewrite_nodes(graph, replace):
    """The Symbol of a graph in which some nodes are replaced.

    Parameters
    ----------
    graph : dict
        A symbol's JSON.
    replace : callable
        (writer, index, node, inputs) → what it has added in the node's place, as an entry, or None
        to keep the node. `inputs` are the node's in the new graph.
    """
    writer = GraphWriter()
    entries = []  # of each node: its index in the new graph
    for index, node in enumerate(graph["nodes"]):
        inputs = [[entries[i], output, version] for i, output, version in node["inputs"]]
        entry = replace(writer, index, node, inputs)
        if entry is None:
            entry = writer.add(node["op"], node["name"], inputs, **node.get("attrs", {}))
        entries.append(entry[0])
    heads = [[entries[i], output, version] for i, output, version in graph["heads"]]
    return writer.to_symbol(heads, graph["attrs"])


def shapes_before(nodes, wanted):
    """{index of a node: shape of its output} of the wanted nodes and all that they are made of.

    For one photo of 112×112. Of what stands behind them nothing is asked: it may need more than
    one, as the triplets' heads do. Nodes of several outputs are left out.

    Parameters
    ----------
    nodes : list of dict
        Of a symbol's JSON, with the input `data`, (N, 3, H, W).
    wanted : list of int
    """
    if not wanted:
        return {}
    writer = GraphWriter()
    indices = {}
    for index, node in enumerate(nodes):
        # Some graphs of 2018 have one name twice.
        name = node["name"] if node["op"] == "null" else f"node{index}"
        indices[name if node["op"] == "null" else f"{name}_output"] = index
        writer.add(node["op"], name, node["inputs"], **node.get("attrs", {}))
    heads = [[index, 0, 0] for index in wanted]
    internals = writer.to_symbol(heads, {"mxnet_version": ["int", 10901]}).get_internals()
    _, shapes, _ = internals.infer_shape_partial(data=INPUT_SHAPE)
    by_name = zip(internals.list_outputs(), shapes, strict=True)
    return {indices[name]: shape for name, shape in by_name if name in indices}
