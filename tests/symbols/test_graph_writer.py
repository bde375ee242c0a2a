"""Shapes within a graph, and the rewritings one after another."""

import json

import pytest

from src.common.mxnet_backend import mx
from src.symbols.channel_groups import group_channels
from src.symbols.cpu_graph import rewrite_prelu
from src.symbols.graph_writer import shapes_before
from src.symbols.plain_concat import plain_concatenations
from src.training.heads import triplet_head
from src.training.networks import build_embedding


def nodes_of(symbol):
    return json.loads(symbol.tojson())["nodes"]


def test_shapes_are_told_apart_where_two_nodes_have_one_name():
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=4, kernel=(3, 3), name="conv")
    body = mx.sym.Activation(body, act_type="relu", name="relu0")
    body = mx.sym.Pooling(body, kernel=(2, 2), stride=(2, 2), pool_type="max")
    body = mx.sym.Activation(body, act_type="relu", name="relu0")
    nodes = nodes_of(mx.sym.FullyConnected(body, num_hidden=3, name="last"))
    both = [index for index, node in enumerate(nodes) if node["name"] == "relu0"]
    shapes = shapes_before(nodes, both)
    assert [shapes[index] for index in both] == [(1, 4, 110, 110), (1, 4, 55, 55)]
    by_name = {nodes[index]["name"]: shape for index, shape in shapes.items()}
    assert by_name["conv_weight"] == (4, 3, 3, 3)
    assert "last" not in by_name
    assert shapes_before(nodes, []) == {}


@pytest.mark.parametrize("network", ["r18", "d121", "p107", "n1", "i2", "x1"])
def test_what_needs_several_photos_may_stand_behind_a_network(network):
    """The triplets' head takes a batch apart in three; one photo is too few for it."""
    symbol = triplet_head(build_embedding(network, 16), alpha=0.3)
    bound = rewrite_prelu(plain_concatenations(group_channels(symbol)), for_training=True)
    _, outputs, _ = bound.infer_shape(data=(6, 3, 112, 112), softmax_label=(6,))
    assert outputs == [(6, 16), (6,), (1,)]
    assert sorted(bound.list_arguments()) == sorted(symbol.list_arguments())
