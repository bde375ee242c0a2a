"""Checks the JSON of a graph before MXNet reads it, which believes every index in it."""

import json
from collections.abc import Mapping
from typing import Any

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.shapes import explain

# The largest network here has 3,500.
MOST_NODES = 1 << 16
# They use an address in the graph as a pointer, or call a function by its name.
_OPERATORS_THAT_RUN_CODE = frozenset(["_Native", "_NDArray", "Custom", "_CustomFunction"])
_INTEGER_KEYS = ("backward_source_id",)
_SETTINGS = ("param", "attr", "attrs")


def checked_graph(graph: Any, path: str) -> dict[str, Any]:
    """The parts of a graph that MXNet needs, without any others.

    Raises
    ------
    InputError
        It lacks one, or refers to something that does not exist. The message names the file.
    """
    try:
        return _checked(graph)
    except InputError as error:
        raise InputError(f"{path} is not an MXNet graph: {error}") from None


def _checked(graph: Any) -> dict[str, Any]:
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not nodes or not isinstance(graph.get("attrs", {}), dict):
        raise InputError("it has no layers")
    if len(nodes) > MOST_NODES:
        raise InputError(f"it has {len(nodes)} nodes; at most {MOST_NODES} are read")
    for number, node in enumerate(nodes):
        if not _is_node(node, number):
            raise InputError(f"its node {number} is malformed")
        if node["op"] in _OPERATORS_THAT_RUN_CODE:
            raise InputError(f"its node {number} is a {node['op']}, which could run code")
        if node.get("subgraphs") or node.get("control_deps"):
            raise InputError(f"its node {number} contains other graphs, which are not read")
    heads = graph.get("heads")
    if not isinstance(heads, list) or not heads or not all(_is_entry(h, len(nodes)) for h in heads):
        raise InputError("its heads are not among its nodes")
    _check_outputs(nodes, [entry for node in nodes for entry in node["inputs"]] + heads)
    kept = {
        "nodes": [_kept_parts(node) for node in nodes],
        "arg_nodes": [number for number, node in enumerate(nodes) if node["op"] == "null"],
        "heads": heads,
    }
    version = graph.get("attrs", {}).get("mxnet_version")
    if isinstance(version, list) and len(version) == 2 and _is_index(version[1], 1 << 31):
        kept["attrs"] = {"mxnet_version": ["int", version[1]]}
    return kept


def _is_index(value: Any, end: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def _is_entry(entry: Any, end: int) -> bool:
    """Whether it is [node, output] or [node, output, version], with a node before `end`."""
    return (
        isinstance(entry, list)
        and 2 <= len(entry) <= 3
        and _is_index(entry[0], end)
        and all(_is_index(number, 1 << 31) for number in entry[1:])
    )


def _is_node(node: Any, number: int) -> bool:
    """Whether it has an operator, a name, inputs among the nodes before it, and settings."""
    return (
        isinstance(node, dict)
        and isinstance(node.get("op"), str)
        and isinstance(node.get("name"), str)
        and isinstance(node.get("inputs"), list)
        and all(_is_entry(entry, number) for entry in node["inputs"])
        and all(_is_settings(node.get(key, {})) for key in _SETTINGS)
        and (node["op"] != "null" or not node["inputs"])
    )


def _is_settings(settings: Any) -> bool:
    return isinstance(settings, dict) and all(isinstance(v, str) for v in settings.values())


def _kept_parts(node: Mapping[str, Any]) -> dict[str, Any]:
    parts = {key: node[key] for key in ("op", "name", "inputs", *_SETTINGS) if key in node}
    for key in _INTEGER_KEYS:
        if isinstance(node.get(key), int):
            parts[key] = node[key]
    return parts


def _check_outputs(nodes: list[Any], entries: list[Any]) -> None:
    """InputError if one of the entries is an output that its node does not have."""
    largest: dict[int, int] = {}
    for entry in entries:
        largest[entry[0]] = max(entry[1], largest.get(entry[0], 0))
    for number, output in largest.items():
        if output and output >= _output_count(nodes[number]):
            raise InputError(f"node {number} has no output {output}")


def _output_count(node: Mapping[str, Any]) -> int:
    """Number of outputs that a node has in this MXNet."""
    if node["op"] == "null":
        return 1
    count = len(node["inputs"])
    inputs = [{"op": "null", "name": f"input{i}", "inputs": []} for i in range(count)]
    alone = {**_kept_parts(node), "inputs": [[i, 0, 0] for i in range(count)]}
    graph = {"nodes": [*inputs, alone], "arg_nodes": list(range(count)), "heads": [[count, 0, 0]]}
    try:
        names = mx.sym.load_json(json.dumps(graph)).get_internals().list_outputs()
    except mx.MXNetError as error:
        raise InputError(f"{node['name']}: {explain(error)}") from None
    return len([name for name in names if name.startswith(f"{node['name']}_")])
