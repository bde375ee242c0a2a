"""Graphs (`prefix-symbol.json`) of MXNet 0.8 to 1.9, read by the installed version.

MXNet itself updates most old graphs: 0.8 writes an operator's settings to `param` and annotations
to `attr`, and has no batch-normalisation statistics; since 0.9 both are in `attr`, since 1.0 in
`attrs`. This module handles what MXNet rejects or misreads.
"""

import json
import logging
from typing import Any

from src.checkpoints.graph_check import checked_graph
from src.common.errors import InputError, listed
from src.common.json_text import parse_json
from src.common.mxnet_backend import mx
from src.graphs.shapes import explain

log = logging.getLogger(__name__)

EMBEDDING = "fc1"  # name of the last layer of every network here
# To graphs of versions before this one MXNet adds the inputs that they do not name.
_INPUTS_ADDED_BEFORE = 900
# Annotations of 0.8 that MXNet knows, also as an ending (weight_lr_mult).
_KNOWN_ANNOTATIONS = (
    "ctx_group",
    "lr_mult",
    "wd_mult",
    "force_mirroring",
    "mirror_stage",
    "profiler_scope",
)
# A plugin operator of 2016, and today's operator for the same function.
_RENAMED = {"CuDNNBatchNorm": "BatchNorm"}


def read_graph(path: str) -> mx.sym.Symbol:
    """The symbol in a graph file.

    If this MXNet does not have the operators of layers after the embedding, such as 2018's
    LSoftmax, the symbol ends at the embedding, which is logged.

    Raises
    ------
    InputError
        The file is not a graph, or has layers that this MXNet cannot build; the message is one
        line.
    """
    try:
        with open(path, "rb") as file:
            graph = parse_json(file.read())
    except ValueError as error:  # as JSON, or as UTF-8
        raise InputError(f"{path} is not an MXNet graph: {error}") from None
    graph = checked_graph(graph, path)
    _rename_operators(graph)
    _mark_annotations(graph)
    _request_statistics(graph)
    graph = _without_unknown_operators(graph, path)
    try:
        return mx.sym.load_json(json.dumps(graph))
    except mx.MXNetError as error:
        raise InputError(f"{path} is not an MXNet graph: {explain(error)}") from None


def _rename_operators(graph: dict[str, Any]) -> None:
    for node in graph["nodes"]:
        node["op"] = _RENAMED.get(node["op"], node["op"])


def _mark_annotations(graph: dict[str, Any]) -> None:
    """Writes annotations of 0.8, which MXNet would read as settings, as later versions do."""
    for node in graph["nodes"]:
        if "param" in node and "attr" in node:
            node["attr"] = {
                name if name.endswith((*_KNOWN_ANNOTATIONS, "__")) else f"__{name}__": value
                for name, value in node["attr"].items()
            }


def _request_statistics(graph: dict[str, Any]) -> None:
    """Makes MXNet add the statistics of batch normalisations that have only three inputs.

    Converters write those together with a newer version: the version is the converter's, the layers
    are those of 0.8.
    """
    if any(node["op"] == "BatchNorm" and len(node["inputs"]) == 3 for node in graph["nodes"]):
        attributes = graph.setdefault("attrs", {})
        attributes["mxnet_version"] = ["int", _INPUTS_ADDED_BEFORE - 100]


def _without_unknown_operators(graph: dict[str, Any], path: str) -> dict[str, Any]:
    """The graph, cut at the embedding if this MXNet does not have all operators after it."""
    known = {"null", *mx.operator.get_all_registered_operators()}
    nodes = graph["nodes"]
    unknown = {node["name"]: node["op"] for node in nodes if node["op"] not in known}
    if not unknown:
        return graph
    ends = [i for i, n in enumerate(nodes) if n["name"] == EMBEDDING and n["op"] != "null"]
    part = _subgraph_ending_at(graph, ends[0]) if ends else graph
    if any(node["op"] not in known for node in part["nodes"]):
        raise InputError(
            f"{path} has operators that MXNet {mx.__version__} does not have: "
            + listed(f"{name} ({operator})" for name, operator in unknown.items())
        )
    log.info(
        "%s is read up to the embedding: MXNet %s does not have the operators after it (%s)",
        path,
        mx.__version__,
        listed(dict.fromkeys(unknown.values())),
    )
    return part


def _subgraph_ending_at(graph: dict[str, Any], end: int) -> dict[str, Any]:
    """The graph of node `end` and of everything that it is computed from."""
    nodes = graph["nodes"]
    needed, waiting = {end}, [end]
    while waiting:
        inputs = {entry[0] for entry in nodes[waiting.pop()]["inputs"]} - needed
        needed |= inputs
        waiting += inputs
    kept = sorted(needed)
    place = {old: new for new, old in enumerate(kept)}
    part = [
        {**nodes[i], "inputs": [[place[entry[0]], *entry[1:]] for entry in nodes[i]["inputs"]]}
        for i in kept
    ]
    variables = [i for i, node in enumerate(part) if node["op"] == "null"]
    attributes = {"attrs": graph["attrs"]} if "attrs" in graph else {}
    return {"nodes": part, "arg_nodes": variables, "heads": [[place[end], 0, 0]], **attributes}
