"""Concatenations whose gradient oneDNN can split, for training on the CPU.

oneDNN keeps the channels of a map in blocks of 8 or 16. If a map is concatenated from maps that end
inside a block, as NASNet's maps of 42 channels do, the gradient may be in blocks, and MXNet 1.9.1
then fails to split it: "could not construct a sub-memory", or the process dies with a floating
point exception. For five axes instead of four, MXNet uses its own implementation of concatenation,
which does not use blocks:

    concat(a, b)  =  reshape(concat(expand_dims(a), expand_dims(b)))

The saved symbol is always the original one.
"""

from src.common.mxnet_backend import mx
from src.graphs.writer import (
    Entry,
    Graph,
    GraphWriter,
    Node,
    rewrite_nodes,
    rewrite_symbol,
    shapes_before,
)

MARK = "_plain"
BLOCK = 16  # channels in a block with AVX-512, otherwise 8


def plain_concatenations(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The same function, with five axes for concatenations of maps that end inside a block.

    Arguments and outputs keep their order. Returns the symbol itself if there is nothing to change.
    """
    return rewrite_symbol(_rewrite, symbol, "Concat")


def _rewrite(graph: Graph) -> Graph:
    wanted = concatenations_within_blocks(graph["nodes"])
    if not wanted:
        return graph

    def replace(writer: GraphWriter, index: int, node: Node, inputs: list[Entry]) -> Entry | None:
        return add_plain_concatenation(writer, node["name"], inputs) if index in wanted else None

    return rewrite_nodes(graph, replace)


def concatenations_within_blocks(nodes: list[Node]) -> set[int]:
    """Indices of concatenations with a part that ends inside a block of channels.

    Only those whose gradient may be in blocks.
    """
    concatenations = {
        index: node
        for index, node in enumerate(nodes)
        if node["op"] == "Concat" and node["attrs"].get("dim", "1") == "1"
    }
    if not concatenations:
        return set()
    shapes = shapes_before(nodes, list(concatenations))
    blocked = gradients_in_blocks(nodes)

    def parts(node: Node) -> list[tuple[int, ...]]:
        return [shapes.get(entry[0], ()) for entry in node["inputs"]]

    return {
        index
        for index, node in concatenations.items()
        if blocked[index]
        and all(len(shape) == 4 for shape in parts(node))
        and any(shape[1] % BLOCK for shape in parts(node))
    }


def gradients_in_blocks(nodes: list[Node]) -> list[bool]:
    """For each node, whether the gradient of its output may be in blocks.

    A batch normalisation returns its gradient in the layout of its input. For a concatenation of
    parts that end inside a block, this is the plain layout; other layers may return blocks.
    """
    blocked = [False] * len(nodes)
    for index in reversed(range(len(nodes))):
        node = nodes[index]
        if node["op"] != "BatchNorm" and (node["op"] != "Concat" or blocked[index]):
            for entry in node["inputs"]:
                blocked[entry[0]] = True
    return blocked


def add_plain_concatenation(writer: GraphWriter, name: str, maps: list[Entry]) -> Entry:
    """Appends the concatenation of maps (N, C, H, W) along C."""
    # (1, N, C, H, W)
    maps = [
        writer.add("expand_dims", f"{name}{MARK}{number}", [entry], axis="0")
        for number, entry in enumerate(maps)
    ]
    body = writer.add("Concat", f"{name}{MARK}", maps, dim="2", num_args=str(len(maps)))
    # Merges the first two axes. The node keeps the original's name, and so does its output.
    return writer.add("Reshape", name, [body], shape="(-3, 0, 0, 0)")
