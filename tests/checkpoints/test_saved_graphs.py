"""Graphs of old MXNet versions: literal files, read and evaluated.

All contain the same network: convolution, batch normalisation, PReLU and a fully connected `fc1`.
"""

import json
import re

import numpy as np
import pytest

from src.checkpoints.saved_graphs import read_graph
from src.common.errors import InputError
from src.common.mxnet_backend import mx

CONVOLUTION = {"kernel": "(3,3)", "no_bias": "True", "num_filter": "4", "pad": "(1,1)"}
NORMALISATION = {"eps": "2e-05", "fix_gamma": "False", "momentum": "0.9"}
PRELU = {"act_type": "prelu", "lower_bound": "0.125", "slope": "0.25", "upper_bound": "0.334"}

# MXNet 0.8: settings in `param`, annotations in `attr`, inputs of two numbers, no statistics.
GRAPH_08 = """{
  "nodes": [
    {"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "conv0_weight", "inputs": [], "backward_source_id": -1,
     "attr": {"wd_mult": "0.5"}},
    {"op": "Convolution", "param": {"cudnn_tune": "off", "dilate": "(1,1)", "kernel": "(3,3)",
     "no_bias": "True", "num_filter": "4", "num_group": "1", "pad": "(1,1)", "stride": "(1,1)",
     "workspace": "256"}, "name": "conv0", "inputs": [[0, 0], [1, 0]], "backward_source_id": -1,
     "attr": {"ctx_group": "first", "weight_lr_mult": "3"}},
    {"op": "null", "param": {}, "name": "bn0_gamma", "inputs": [], "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "bn0_beta", "inputs": [], "backward_source_id": -1},
    {"op": "BatchNorm", "param": {"eps": "2e-05", "fix_gamma": "False", "momentum": "0.9",
     "use_global_stats": "False"}, "name": "bn0", "inputs": [[2, 0], [3, 0], [4, 0]],
     "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "relu0_gamma", "inputs": [], "backward_source_id": -1},
    {"op": "LeakyReLU", "param": {"act_type": "prelu", "lower_bound": "0.125", "slope": "0.25",
     "upper_bound": "0.334"}, "name": "relu0", "inputs": [[5, 0], [6, 0]],
     "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "fc1_weight", "inputs": [], "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "fc1_bias", "inputs": [], "backward_source_id": -1},
    {"op": "FullyConnected", "param": {"no_bias": "False", "num_hidden": "5"}, "name": "fc1",
     "inputs": [[7, 0], [8, 0], [9, 0]], "backward_source_id": -1}
  ],
  "arg_nodes": [0, 1, 3, 4, 6, 8, 9],
  "heads": [[10, 0]]
}"""


def later_graph(version, settings, statistics=("bn0_moving_mean", "bn0_moving_var")):
    """The same as written by MXNet 0.9 (`settings` is 'attr') and 1.0 to 1.3 ('attrs')."""
    initial = {"bn0_moving_mean": '["zero", {}]', "bn0_moving_var": '["one", {}]'}
    layers = [
        ("null", "data", (), {}),
        ("null", "conv0_weight", (), {"__wd_mult__": "0.5", "__lr_mult__": "3"}),
        ("Convolution", "conv0", ("data", "conv0_weight"), CONVOLUTION),
        ("null", "bn0_gamma", (), NORMALISATION),  # 1.x wrote a layer's settings there too
        ("null", "bn0_beta", (), NORMALISATION),
        *(("null", name, (), {"__init__": initial[name]}) for name in statistics),
        ("BatchNorm", "bn0", ("conv0", "bn0_gamma", "bn0_beta", *statistics), NORMALISATION),
        ("null", "relu0_gamma", (), PRELU),
        ("LeakyReLU", "relu0", ("bn0", "relu0_gamma"), PRELU),
        ("null", "fc1_weight", (), {}),
        ("null", "fc1_bias", (), {}),
        ("FullyConnected", "fc1", ("relu0", "fc1_weight", "fc1_bias"), {"num_hidden": "5"}),
    ]
    place = {name: number for number, (_, name, _, _) in enumerate(layers)}
    nodes = [
        {"op": op, "name": name, "inputs": [[place[i], 0, 0] for i in inputs]}
        | ({settings: attributes} if attributes else {})
        for op, name, inputs, attributes in layers
    ]
    return {
        "nodes": nodes,
        "arg_nodes": [number for number, node in enumerate(nodes) if node["op"] == "null"],
        "node_row_ptr": list(range(len(nodes) + 1)),
        "heads": [[place["fc1"], 0, 0]],
        **({"attrs": {"mxnet_version": ["int", version]}} if version else {}),
    }


OLD_GRAPHS = {
    "0.8": json.loads(GRAPH_08),
    "0.9": later_graph(905, "attr"),
    "0.12": later_graph(1200, "attr"),
    "1.0": later_graph(10000, "attrs"),
    "1.3": later_graph(10301, "attrs"),
    "without version": later_graph(None, "attr"),
    "of a converter": later_graph(10301, "attrs", statistics=()),
}


def read(tmp_path, graph):
    path = tmp_path / "model-symbol.json"
    path.write_text(graph if isinstance(graph, str) else json.dumps(graph))
    return read_graph(str(path))


def expected_network():
    body = mx.sym.Convolution(
        mx.sym.var("data"), num_filter=4, kernel=(3, 3), pad=(1, 1), no_bias=True, name="conv0"
    )
    body = mx.sym.BatchNorm(body, fix_gamma=False, eps=2e-5, name="bn0")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu0")
    return mx.sym.FullyConnected(body, num_hidden=5, name="fc1")


def evaluate(symbol):
    """Its output; images and parameters depend only on the seed and the names."""
    random = np.random.RandomState(3)
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(2, 3, 6, 6))
    args = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    aux = dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    values = {
        name: random.uniform(0.5, 1, shape) for name, shape in sorted({**args, **aux}.items())
    }
    bound = symbol.bind(
        mx.cpu(),
        {name: mx.nd.array(values[name]) for name in args},
        aux_states={name: mx.nd.array(values[name]) for name in aux},
    )
    return bound.forward(is_train=False)[0].asnumpy()


@pytest.mark.parametrize("version", OLD_GRAPHS)
def test_old_graphs_compute_what_they_did(tmp_path, version):
    symbol, expected = read(tmp_path, OLD_GRAPHS[version]), expected_network()
    assert symbol.list_arguments() == expected.list_arguments()
    assert symbol.list_auxiliary_states() == ["bn0_moving_mean", "bn0_moving_var"]
    assert symbol.list_outputs() == ["fc1_output"]
    np.testing.assert_allclose(evaluate(symbol), evaluate(expected), rtol=1e-6)


@pytest.mark.parametrize("version", ["0.8", "0.9", "1.3"])
def test_multipliers_of_old_graphs_are_kept(tmp_path, version):
    attributes = read(tmp_path, OLD_GRAPHS[version]).attr_dict()
    assert attributes["conv0_weight"]["__lr_mult__"] == "3"
    assert attributes["conv0_weight"]["__wd_mult__"] == "0.5"


def changed(graph, name, /, **changes):
    graph = json.loads(json.dumps(graph))
    next(node for node in graph["nodes"] if node["name"] == name).update(changes)
    return graph


def test_user_annotations_of_0_8_are_not_read_as_settings(tmp_path):
    graph = changed(OLD_GRAPHS["0.8"], "conv0", attr={"mood": "good", "lr_mult": "2"})
    symbol = read(tmp_path, graph)
    assert symbol.attr_dict()["conv0"]["__mood__"] == "good"
    assert symbol.attr_dict()["conv0"]["__lr_mult__"] == "2"
    np.testing.assert_allclose(evaluate(symbol), evaluate(expected_network()), rtol=1e-6)


def test_the_prelu_slope_that_0_8_does_not_name_is_added(tmp_path):
    graph = changed(OLD_GRAPHS["0.8"], "relu0", inputs=[[5, 0]])
    assert "relu0_gamma" in read(tmp_path, graph).list_arguments()


def test_the_plugin_batch_normalisation_is_read_as_todays(tmp_path):
    symbol = read(tmp_path, changed(OLD_GRAPHS["0.8"], "bn0", op="CuDNNBatchNorm"))
    np.testing.assert_allclose(evaluate(symbol), evaluate(expected_network()), rtol=1e-6)


def with_classifier(graph, operator):
    """The graph with a layer `fc7` of that operator, and a loss, after the embedding."""
    graph = json.loads(json.dumps(graph))
    last = len(graph["nodes"]) - 1
    graph["nodes"] += [
        {"op": "null", "name": "fc7_weight", "inputs": []},
        {"op": "null", "name": "softmax_label", "inputs": []},
        {
            "op": operator,
            "name": "fc7",
            "attrs": {"margin": "4", "num_hidden": "9"},
            "inputs": [[last, 0, 0], [last + 1, 0, 0], [last + 2, 0, 0]],
        },
        {
            "op": "SoftmaxOutput",
            "name": "softmax",
            "inputs": [[last + 3, 0, 0], [last + 2, 0, 0]],
        },
    ]
    graph["arg_nodes"] += [last + 1, last + 2]
    return graph | {"heads": [[last + 4, 0, 0]]}


def test_a_loss_of_2018_that_mxnet_does_not_have_is_cut_off(tmp_path, caplog):
    caplog.set_level("INFO")
    symbol = read(tmp_path, with_classifier(OLD_GRAPHS["1.3"], "LSoftmax"))
    assert symbol.list_outputs() == ["fc1_output"]
    np.testing.assert_allclose(evaluate(symbol), evaluate(expected_network()), rtol=1e-6)
    assert "read up to the embedding" in caplog.text
    assert "LSoftmax" in caplog.text


def test_an_unknown_operator_before_the_embedding_is_rejected(tmp_path):
    graph = changed(OLD_GRAPHS["1.3"], "relu0", op="Swish")
    with pytest.raises(
        InputError, match=r"has operators that MXNet .* does not have: relu0 \(Swish\)$"
    ):
        read(tmp_path, graph)


@pytest.mark.parametrize("version", ["0.9", "1.3"])
def test_a_setting_of_another_version_is_rejected_in_one_line(tmp_path, version):
    settings = {"attr" if version == "0.9" else "attrs": {**CONVOLUTION, "sparse": "1"}}
    graph = changed(OLD_GRAPHS[version], "conv0", **settings)
    with pytest.raises(InputError) as error:
        read(tmp_path, graph)
    assert re.search(
        r"model-symbol.json is not an MXNet graph: Cannot find argument 'sparse' in operator "
        r'Convolution\(name="conv0"\)$',
        str(error.value),
    )


DATA = '{"nodes": [{"op": "null", "name": "data", "inputs": []}]'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "no json",
        "[]",
        "{}",
        '{"nodes": []}',
        '{"nodes": 3}',
        '{"nodes": [{"op": "x"}]}',
        DATA + "}",
        DATA + ', "arg_nodes": [0], "heads": [[0]]}',
        DATA.replace("[]", "[[7, 0, 0]]") + ', "arg_nodes": [0], "heads": [[0, 0, 0]]}',
    ],
)
def test_other_files_are_rejected(tmp_path, text):
    with pytest.raises(InputError, match=r"model-symbol.json is not an MXNet graph: ") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"op": []},
        {"name": None},
        {"inputs": 3},
        {"inputs": [[]]},
        {"inputs": [[99, 0, 0]]},
        {"inputs": [["data", 0, 0]]},
        {"attrs": "kernel"},
        {"attr": None},
    ],
)
def test_a_malformed_node_is_named_by_its_number(tmp_path, change):
    with pytest.raises(
        InputError, match=r"model-symbol.json is not an MXNet graph: its node 2 is malformed"
    ):
        read(tmp_path, changed(OLD_GRAPHS["1.3"], "conv0", **change))
