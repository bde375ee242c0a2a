"""One grouped convolution instead of one convolution per channel.

The Xception of 2018 splits a map into its channels, convolves each channel separately and
concatenates the results: 11,500 convolutions and 23,000 parameters in total. Here each such row of
convolutions becomes one grouped convolution with the same function and gradients. Its weight and
its bias are those of the row, concatenated along the first axis. The saved symbol is always the
original one.

On two CPU cores a batch of 2 takes a third of the time, and binding a fraction of it. It also makes
training possible, because the gradient of a concatenation of single channels crashes MXNet 1.9.1
(see `plain_concat`).
"""

from collections import Counter

from src.common.mxnet_backend import mx
from src.graphs.writer import Entry, Graph, GraphWriter, Node, rewrite_symbol

MARK = "_channel_groups"


def merge_channels(symbol: mx.sym.Symbol) -> tuple[mx.sym.Symbol, dict[str, list[str]]]:
    """The same function with one weight and one bias for each row of single-channel convolutions.

    Returns
    -------
    symbol
        The symbol itself if it has no such row.
    parts
        Name of each new parameter → names of the original's parameters that it concatenates along
        the first axis, all of one shape.
    """
    parts: dict[str, list[str]] = {}
    merged = rewrite_symbol(lambda graph: _merge(graph, parts), symbol, "SliceChannel")
    return merged, parts


def _merge(graph: Graph, parts: dict[str, list[str]]) -> Graph:
    """The graph with merged parameters; adds them to `parts`."""
    nodes = graph["nodes"]
    uses = count_uses(nodes, graph["heads"])
    rows = {
        index: row
        for index, row in find_rows(nodes, uses).items()
        # A parameter that another node also uses must not be merged.
        if all(uses[entry[0]] == 1 for i, *_ in row for entry in nodes[i]["inputs"][1:])
    }
    if not rows:
        return graph
    dropped = {entry[0] for row in rows.values() for entry in row}
    dropped |= {entry[0] for index in dropped for entry in nodes[index]["inputs"]}
    writer = GraphWriter()
    places: dict[int, int] = {}
    for index, node in enumerate(nodes):
        if index in rows:
            places[index] = _add_merged(writer, nodes, places, index, rows[index], parts)
        elif index not in dropped:
            inputs = [[places[i], output, version] for i, output, version in node["inputs"]]
            added = writer.add(node["op"], node["name"], inputs, **node.get("attrs", {}))
            places[index] = added[0]
    heads = [[places[i], output, version] for i, output, version in graph["heads"]]
    return writer.to_graph(heads, graph["attrs"])


def _add_merged(
    writer: GraphWriter,
    nodes: list[Node],
    places: dict[int, int],
    index: int,
    row: list[Entry],
    parts: dict[str, list[str]],
) -> int:
    """Appends the convolution for a row with merged parameters; returns its index."""
    convolutions = [nodes[entry[0]] for entry in row]
    first = convolutions[0]
    source, output, version = nodes[first["inputs"][0][0]]["inputs"][0]
    inputs = [[places[source], output, version]]
    name = nodes[index]["name"]
    for position in range(1, len(first["inputs"])):  # weights, biases
        names = [nodes[convolution["inputs"][position][0]]["name"] for convolution in convolutions]
        # Initialisers recognise the kind of parameter by the last word of its name.
        merged = f"{name}{MARK}_{names[0].rpartition('_')[2]}"
        parts[merged] = names
        attributes = nodes[first["inputs"][position][0]].get("attrs", {})
        inputs.append(writer.add("null", merged, **attributes))
    return _add_convolution(writer, name, inputs, first, len(row))[0]


def _add_convolution(
    writer: GraphWriter, name: str, inputs: list[Entry], single: Node, groups: int
) -> Entry:
    filters = str(int(single["attrs"]["num_filter"]) * groups)
    settings = {**single["attrs"], "num_filter": filters, "num_group": str(groups)}
    return writer.add("Convolution", name, inputs, **settings)


def count_uses(nodes: list[Node], heads: list[Entry]) -> "Counter[int]":
    """How often each node is an input of another or an output of the graph."""
    uses = Counter(entry[0] for node in nodes for entry in node["inputs"])
    uses.update(entry[0] for entry in heads)
    return uses


def find_rows(nodes: list[Node], uses: "Counter[int]") -> dict[int, list[Entry]]:
    """{index of a concatenation: its inputs}, if each input convolves one part of a map."""
    return {index: node["inputs"] for index, node in enumerate(nodes) if is_row(nodes, node, uses)}


def is_row(nodes: list[Node], node: Node, uses: "Counter[int]") -> bool:
    """Whether a node concatenates equal convolutions, one of each part of a map."""
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
