"""Symbols rewritten when they are bound: one grouped convolution for one convolution a channel.

The Xception of 2018 takes a map apart, convolves each channel by itself and puts them together
again: 11,500 convolutions in all. Here each such row becomes

    Convolution(data, concat(weights), concat(biases), num_group=channels)

with the same parameters: the same function and gradients. On two CPU cores a batch of 2 goes
through in a third of the time and is bound in a sixth; and it can be trained, while MXNet 1.9.1 is
killed by a floating point exception where it takes the gradient of single channels apart (see
`plain_concat`). What remains slow is the number of the parameters.

What is saved is always the original symbol.
"""

import json
from collections import Counter

from src.symbols.graph_writer import rewrite_nodes, shapes_before

MARK = "_channel_groups"


def group_channels(symbol):
    """The same function with each row of convolutions of single channels as a grouped one.

    Parameters
    ----------
    symbol : Symbol
        With the input `data`, (N, 3, H, W).

    Returns
    -------
    Symbol
        Same parameters and outputs, the parameters in another order. The symbol itself where there
        is no such row.
    """
    text = symbol.tojson()
    if "SliceChannel" not in text:
        return symbol
    graph = json.loads(text)
    nodes = graph["nodes"]
    rows = find_rows(nodes, graph["heads"])
    if not rows:
        return symbol
    shapes = shapes_before(nodes, list(rows))
    convolutions = {entry[0] for row in rows.values() for entry in row}
    grouped = {entry[0] for index in convolutions for entry in nodes[index]["inputs"][1:]}

    def replace(writer, index, node, inputs):
        if index in rows:
            return add_grouped(writer, node["name"], inputs)
        if index in grouped:
            # MXNet cannot tell it from the shape of the concatenation.
            attributes = {**node.get("attrs", {}), "__shape__": str(shapes[index])}
            return writer.add(node["op"], node["name"], **attributes)
        return None

    return rewrite_nodes(graph, replace)


def find_rows(nodes, heads):
    """{index of a concatenation: its inputs, each the convolution of one part of a map}."""
    uses = Counter(entry[0] for node in nodes for entry in node["inputs"])
    uses.update(entry[0] for entry in heads)
    return {index: node["inputs"] for index, node in enumerate(nodes) if is_row(nodes, node, uses)}


def is_row(nodes, node, uses):
    """Whether a node puts together what like convolutions make of each part of one map."""
    if node["op"] != "Concat" or node["attrs"].get("dim", "1") != "1":
        return False
    convolutions = [nodes[index] for index, *_ in node["inputs"]]
    first = convolutions[0]
    if first["op"] != "Convolution" or first["attrs"].get("num_group", "1") != "1":
        return False
    source = first["inputs"][0][0]
    wanted = {"axis": "1", "num_outputs": str(len(convolutions)), "squeeze_axis": "False"}
    attributes = {"axis": "1", "squeeze_axis": "False", **nodes[source].get("attrs", {})}
    return (
        nodes[source]["op"] == "SliceChannel"
        and attributes == wanted
        and uses[source] == len(convolutions)
        and all(
            convolution["op"] == "Convolution"
            and convolution["attrs"] == first["attrs"]
            and convolution["inputs"][0][:2] == [source, part]
            and uses[index] == 1
            and all(nodes[entry[0]]["op"] == "null" for entry in convolution["inputs"][1:])
            for part, (convolution, (index, *_)) in enumerate(
                zip(convolutions, node["inputs"], strict=True)
            )
        )
    )


def add_grouped(writer, name, row):
    """Appends the grouped convolution for a row, the entries of its convolutions."""
    convolutions = [writer.nodes[index] for index, *_ in row]
    first = convolutions[0]
    parts = writer.nodes[first["inputs"][0][0]]
    count = str(len(row))
    inputs = [parts["inputs"][0]]
    for position in range(1, len(first["inputs"])):  # weights, biases
        arrays = [convolution["inputs"][position] for convolution in convolutions]
        inputs.append(
            writer.add("Concat", f"{name}{MARK}{position}", arrays, dim="0", num_args=count)
        )
    filters = str(int(first["attrs"]["num_filter"]) * len(row))
    settings = {**first["attrs"], "num_filter": filters, "num_group": count}
    return writer.add("Convolution", name, inputs, **settings)
