"""Indices in a graph are checked, because MXNet follows them anywhere."""

import copy
import json

import pytest

from src.checkpoints.saved_graphs import read_graph
from src.common.errors import InputError
from src.common.mxnet_backend import mx


@pytest.fixture
def graph():
    data = mx.sym.var("data")
    parts = mx.sym.SliceChannel(data, num_outputs=2, name="parts")
    body = mx.sym.FullyConnected(parts[0] + parts[1], num_hidden=4, name="pre")
    return json.loads(mx.sym.BatchNorm(body, name="fc1").tojson())


def read(folder, graph):
    path = folder / "a-symbol.json"
    path.write_text(graph if isinstance(graph, str) else json.dumps(graph))
    return read_graph(str(path))


def test_a_second_output_is_accepted(graph, tmp_path):
    assert read(tmp_path, graph).list_outputs() == ["fc1_output"]


def last(graph):
    return graph["nodes"][-1]["inputs"][0]


CHANGES = {
    "output": lambda graph: last(graph).__setitem__(1, 100),
    "next output": lambda graph: graph["nodes"][2]["inputs"][1].__setitem__(1, 2),
    "negative output": lambda graph: last(graph).__setitem__(1, -1),
    "node": lambda graph: last(graph).__setitem__(0, 1000),
    "cycle": lambda graph: last(graph).__setitem__(0, len(graph["nodes"]) - 1),
    "later node": lambda graph: graph["nodes"][1].update(inputs=[[3, 0, 0]]),
    "truth as node": lambda graph: last(graph).__setitem__(0, True),
    "version": lambda graph: last(graph).__setitem__(2, 1 << 40),
    "long entry": lambda graph: last(graph).append(0),
    "head": lambda graph: graph.update(heads=[[0, 7, 0]]),
    "no heads": lambda graph: graph.update(heads=[]),
    "heads": lambda graph: graph.update(heads={"a": 1}),
    "setting": lambda graph: graph["nodes"][1].update(attrs={"num_outputs": 2}),
    "pointer": lambda graph: graph["nodes"][1].update(op="_Native", attrs={"info": "0x1"}),
    "callback": lambda graph: graph["nodes"][1].update(op="Custom"),
    "subgraph": lambda graph: graph["nodes"][1].update(subgraphs=[copy.deepcopy(graph)]),
    "variable": lambda graph: graph["nodes"][-2].update(op="null", inputs=[[0, 0, 0]]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_references_to_nothing_are_rejected(graph, tmp_path, change):
    change(graph)
    with pytest.raises(InputError, match=r"a-symbol\.json is not an MXNet graph: "):
        read(tmp_path, graph)


def test_other_parts_are_not_passed_on(graph, tmp_path):
    graph["node_row_ptr"] = [1 << 60] * 3
    graph["arg_nodes"] = [99, -1]
    graph["attrs"]["other"] = [[]]
    graph["nodes"][0]["extra"] = {"a": [1]}
    assert read(tmp_path, graph).list_arguments()[0] == "data"


def test_deep_nesting_is_rejected(tmp_path):
    with pytest.raises(InputError, match="nested too deeply"):
        read(tmp_path, '{"nodes":' + "[" * 100_000)


def test_the_graph_that_crashed(shared):
    with pytest.raises(InputError, match="has no output 100"):
        read_graph(str(shared / "cases" / "hostile" / "segfault-symbol.json"))
