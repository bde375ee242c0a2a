"""Graphs (`prefix-symbol.json`) of MXNet 0.8 to 1.9, read by the one that is installed.

MXNet itself brings most old graphs up to date: those of 0.8 keep an operator's settings in `param`
and annotations in `attr`, and have no batch-normalisation statistics; from 0.9 on both are `attr`,
from 1.0 on `attrs`. Here is what it refuses or reads wrongly.
"""

import json
import logging
import re

from src.common.errors import InputError, listed
from src.common.mxnet_backend import mx

log = logging.getLogger(__name__)

EMBEDDING = "fc1"  # name of the layer that every network here ends in
# Before this version a graph is completed with the inputs that it does not name.
_COMPLETED_BEFORE = 900
# Annotations of 0.8 that MXNet knows, also as an ending (weight_lr_mult).
_KNOWN_ANNOTATIONS = (
    "ctx_group",
    "lr_mult",
    "wd_mult",
    "force_mirroring",
    "mirror_stage",
    "profiler_scope",
)
# The plugin operator of 2016 and the same function's operator of today.
_RENAMED = {"CuDNNBatchNorm": "BatchNorm"}


def read_graph(path):
    """The Symbol of a graph's file.

    Where layers behind the embedding are of a kind that this MXNet does not have, such as 2018's
    LSoftmax, the symbol ends in the embedding, and the log says so.

    Raises
    ------
    InputError
        The file is no graph, or has layers that this MXNet cannot build; named in one line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            graph = json.load(file)
    except ValueError as error:  # as JSON, or as UTF-8
        raise InputError(f"{path} is no MXNet graph: {error}") from None
    _check_form(graph, path)
    _rename_operators(graph)
    _keep_annotations(graph)
    _complete_statistics(graph)
    graph = _without_unknown_operators(graph, path)
    try:
        return mx.sym.load_json(json.dumps(graph))
    except mx.MXNetError as error:
        raise InputError(f"{path} is no MXNet graph: {explain(error)}") from None


def _check_form(graph, path):
    """Raises InputError unless the JSON is that of a graph, as far as it is relied on here."""
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not nodes or not isinstance(graph.get("attrs", {}), dict):
        raise InputError(f"{path} is no MXNet graph: it has no layers")
    for number, node in enumerate(nodes):
        if not _is_node(node, len(nodes)):
            raise InputError(f"{path} is no MXNet graph: its node {number} is none")


def _is_node(node, count):
    """Whether it has a kind, a name, inputs among `count` nodes, and settings."""
    return (
        isinstance(node, dict)
        and isinstance(node.get("op"), str)
        and isinstance(node.get("name"), str)
        and isinstance(node.get("inputs"), list)
        and all(isinstance(entry, list) and entry for entry in node["inputs"])
        and all(entry[0] in range(count) for entry in node["inputs"])
        and all(isinstance(node.get(key, {}), dict) for key in ("param", "attr", "attrs"))
    )


def explain(error):
    """The line of an MXNetError that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        found = re.search(r"(Cannot find argument '\w+')", line)
        if found:
            operator = re.search(r"in operator (\w+\(name=\"[^\"]*\")", lines[-1])
            return f"{found[1]}{f' in operator {operator[1]})' if operator else ''}"
    return lines[-1] if lines else type(error).__name__


def _rename_operators(graph):
    for node in graph["nodes"]:
        node["op"] = _RENAMED.get(node["op"], node["op"])


def _keep_annotations(graph):
    """Annotations of 0.8, which MXNet would take for settings, in the form of later versions."""
    for node in graph["nodes"]:
        if "param" in node and "attr" in node:
            node["attr"] = {
                name if name.endswith((*_KNOWN_ANNOTATIONS, "__")) else f"__{name}__": value
                for name, value in node["attr"].items()
            }


def _complete_statistics(graph):
    """Batch normalisations of three inputs in a graph that claims to be newer than such ones.

    Converters write these: the version is the converter's, the layers are 0.8's.
    """
    if any(node["op"] == "BatchNorm" and len(node["inputs"]) == 3 for node in graph["nodes"]):
        attributes = graph.setdefault("attrs", {})
        attributes["mxnet_version"] = ["int", _COMPLETED_BEFORE - 100]


def _without_unknown_operators(graph, path):
    known = {"null", *mx.operator.get_all_registered_operators()}
    nodes = graph["nodes"]
    unknown = {node["name"]: node["op"] for node in nodes if node["op"] not in known}
    if not unknown:
        return graph
    ends = [i for i, n in enumerate(nodes) if n["name"] == EMBEDDING and n["op"] != "null"]
    part = _part_up_to(graph, ends[0]) if ends else graph
    if any(node["op"] not in known for node in part["nodes"]):
        raise InputError(
            f"{path} has layers of a kind that MXNet {mx.__version__} does not have: "
            + listed(f"{name} ({operator})" for name, operator in unknown.items())
        )
    log.info(
        "%s is read up to the embedding: MXNet %s does not have the %s behind it",
        path,
        mx.__version__,
        listed(dict.fromkeys(unknown.values())),
    )
    return part


def _part_up_to(graph, end):
    """The graph of one node and of all that it is computed from."""
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
