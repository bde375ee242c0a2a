"""Shapes in a graph, and all rewrites one after the other."""

import json

import pytest

from src.common.mxnet_backend import mx
from src.graphs.channel_groups import merge_channels
from src.graphs.plain_concat import plain_concatenations
from src.graphs.prelu import rewrite_prelu
from src.graphs.writer import shapes_before
from src.losses.triplet import Triplet
from src.symbols.table import build_embedding


def nodes_of(symbol):
    return json.loads(symbol.tojson())["nodes"]


def test_shapes_of_two_nodes_with_the_same_name():
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
def test_nodes_after_a_network_may_need_several_photos(network):
    """The triplet head splits a batch in three; one photo is not enough for it."""
    symbol = Triplet().head(build_embedding(network, 16))
    merged, parts = merge_channels(symbol)
    bound = rewrite_prelu(plain_concatenations(merged), for_training=True)
    _, outputs, _ = bound.infer_shape(data=(6, 3, 112, 112), softmax_label=(6,))
    assert outputs == [(6, 16), (6,), (1,)]
    arguments = [part for name in bound.list_arguments() for part in parts.get(name, [name])]
    assert sorted(arguments) == sorted(symbol.list_arguments())
