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

from src.symbols.graph_writer import GraphWriter, shapes_before

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
    convolutions = {entry[0] for row in rows.values() for entry in row}
    left_out = convolutions.union(nodes[index]["inputs"][0][0] for index in convolutions)
    shapes = shapes_before(nodes, list(rows))
    grouped = {entry[0] for index in convolutions for entry in nodes[index]["inputs"][1:]}
    writer = GraphWriter()
    entries = {}  # of each node that is kept: its index in the new graph
    for index, node in enumerate(nodes):
        if index in left_out:
            continue
        if index in rows:
            entry = add_grouped(writer, node["name"], rows[index], nodes, entries)
        else:
            inputs = [[entries[i], output, version] for i, output, version in node["inputs"]]
            attributes = dict(node.get("attrs", {}))
            if index in grouped:
                # MXNet cannot tell it from the shape of the concatenation.
                attributes["__shape__"] = str(shapes[index])
            entry = writer.add(node["op"], node["name"], inputs, **attributes)
        entries[index] = entry[0]
    heads = [[entries[i], output, version] for i, output, version in graph["heads"]]
    return writer.to_symbol(heads, graph["attrs"])


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


def add_grouped(writer, name, row, nodes, entries):
    """Appends the grouped convolution for a row; returns its entry."""
    convolutions = [nodes[index] for index, *_ in row]
    first = convolutions[0]
    parts = nodes[first["inputs"][0][0]]
    index, output, version = parts["inputs"][0]
    inputs = [[entries[index], output, version]]
    for position in range(1, len(first["inputs"])):  # weights, biases
        arrays = [[entries[c["inputs"][position][0]], 0, 0] for c in convolutions]
        inputs.append(
            writer.add(
                "Concat",
                f"{name}{MARK}{position}",
                arrays,
                dim="0",
                num_args=str(len(arrays)),
            )
        )
    settings = {
        **first["attrs"],
        "num_filter": str(int(first["attrs"]["num_filter"]) * len(row)),
        "num_group": str(len(row)),
    }
    return writer.add("Convolution", name, inputs, **settings)
