"""Symbols rewritten for training on the CPU: concatenations whose gradient oneDNN can take apart.

oneDNN keeps a map's channels in blocks of 8 or 16. Where a map is concatenated from maps that end
within a block, as NASNet's of 42 channels do, the gradient may come in blocks, which MXNet 1.9.1
then fails to take apart: "could not construct a sub-memory", or the process is killed by a floating
point exception. With five axes instead of four the concatenation is MXNet's own, which knows no
blocks:

    concat(a, b)  =  reshape(concat(expand_dims(a), expand_dims(b)))

What is saved is always the original symbol.
"""

import json

from src.symbols.graph_writer import rewrite_nodes, shapes_before

MARK = "_plain"
BLOCK = 16  # channels in a block, with AVX-512; otherwise 8


def plain_concatenations(symbol):
    """The same function, its concatenations of maps within a block written with five axes.

    Parameters
    ----------
    symbol : Symbol
        With the input `data`, (N, 3, H, W).

    Returns
    -------
    Symbol
        Same arguments and outputs in the same order; the symbol itself where there are none such.
    """
    graph = json.loads(symbol.tojson())
    wanted = concatenations_within_blocks(graph["nodes"])
    if not wanted:
        return symbol

    def replace(writer, index, node, inputs):
        return add_plain_concatenation(writer, node["name"], inputs) if index in wanted else None

    return rewrite_nodes(graph, replace)


def concatenations_within_blocks(nodes):
    """Indices of the nodes that concatenate maps, some of a broken number of blocks, and whose
    gradient may come in blocks."""
    concatenations = {
        index: node
        for index, node in enumerate(nodes)
        if node["op"] == "Concat" and node["attrs"].get("dim", "1") == "1"
    }
    if not concatenations:
        return set()
    shapes = shapes_before(nodes, list(concatenations))
    blocked = gradients_in_blocks(nodes)

    def parts(node):
        return [shapes.get(entry[0], ()) for entry in node["inputs"]]

    return {
        index
        for index, node in concatenations.items()
        if blocked[index]
        and all(len(shape) == 4 for shape in parts(node))
        and any(shape[1] % BLOCK for shape in parts(node))
    }


def gradients_in_blocks(nodes):
    """Of each node, whether the gradient of its output may come in blocks.

    A batch normalisation gives its gradient in the layout of its input, which for a concatenation
    of broken blocks is the plain one; other layers may give it in blocks.
    """
    blocked = [False] * len(nodes)
    for index in reversed(range(len(nodes))):
        node = nodes[index]
        if node["op"] != "BatchNorm" and (node["op"] != "Concat" or blocked[index]):
            for entry in node["inputs"]:
                blocked[entry[0]] = True
    return blocked


def add_plain_concatenation(writer, name, maps):
    """Appends the concatenation of maps (N, C, H, W) along C; returns its entry."""
    # (1, N, C, H, W)
    maps = [
        writer.add("expand_dims", f"{name}{MARK}{number}", [entry], axis="0")
        for number, entry in enumerate(maps)
    ]
    body = writer.add("Concat", f"{name}{MARK}", maps, dim="2", num_args=str(len(maps)))
    # The first two axes are made one. The name is the original's, and so the output's.
    return writer.add("Reshape", name, [body], shape="(-3, 0, 0, 0)")
