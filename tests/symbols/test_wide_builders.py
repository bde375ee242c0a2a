"""Builders of the networks p, i, x and n: depths, shapes, defaults and invalid flags."""

import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.graphs.channel_groups import merge_channels
from src.symbols import fdpn, finception_resnet_v2, fnasnet, fxception
from src.symbols.table import build_embedding

PHOTO = (1, 3, 112, 112)


def layers(symbol, operator):
    return [node for node in json.loads(symbol.tojson())["nodes"] if node["op"] == operator]


def shape_of(symbol, name):
    """Shape of the output of the layer `name`, for one photo."""
    _, shapes, _ = symbol.get_internals()[f"{name}_output"].infer_shape(data=PHOTO)
    return shapes[0]


def last_map(symbol):
    """Shape of the feature map that goes into the head E, for one photo."""
    return shape_of(symbol, "bn1")[1:]


def millions_of_parameters(symbol):
    shapes, _, _ = symbol.infer_shape(data=PHOTO)
    named = zip(symbol.list_arguments(), shapes, strict=True)
    return sum(np.prod(shape) for name, shape in named if name != "data") / 1e6


@pytest.mark.parametrize("depth", [68, 92, 107, 131])
def test_the_depth_of_a_dual_path_network_is_its_number_of_layers(depth):
    """Convolutions except the shortcuts', and the fully connected layer, with the paper's stem."""
    symbol = fdpn.get_symbol(512, depth, version_input=0)
    convolutions = [node["name"] for node in layers(symbol, "Convolution")]
    in_the_trunk = [name for name in convolutions if "-w(s/" not in name]
    assert len(convolutions) - len(in_the_trunk) == 4
    assert len(in_the_trunk) + len(layers(symbol, "FullyConnected")) == depth


@pytest.mark.parametrize(
    ("network", "flags", "shape"),
    [
        # The residual path, and a dense path: 2 increments at first, 1 more from each of 3 units.
        ("p92", {}, (2048 + 5 * 128, 7, 7)),
        ("p68", {}, (2048 + 5 * 64, 7, 7)),
        ("p92", {"version_input": 0}, (2688, 4, 4)),
        ("i2", {}, (1536, 12, 12)),
        ("i2", {"version_input": 0}, (1536, 5, 5)),
        ("x1", {}, (1024, 7, 7)),
        ("x1", {"version_input": 0}, (1024, 4, 4)),
        ("x1", {"version_input": 2}, (2048, 7, 7)),
        ("n1", {}, (4032, 7, 7)),
        ("n1", {"version_input": 0, "version_output": "A"}, (4032, 7, 7)),
    ],
)
def test_last_map(network, flags, shape):
    symbol = build_embedding(network, 128, **{"version_output": "E", **flags})
    assert last_map(symbol) == shape


@pytest.mark.parametrize(
    ("network", "flags", "known"),
    [
        # The authors' numbers, without a classifier from 2688 channels to 1000 classes.
        ("p92", {"version_input": 0}, 37.8 - 2.7),
        ("p131", {"version_input": 0}, 79.5 - 2.7),
        # The numbers of Keras, without the classifiers.
        ("x1", {"version_input": 2}, 20.9),
        ("n1", {}, 84.9),
    ],
)
def test_sizes_are_close_to_the_published_ones(network, flags, known):
    """Of the body: the network without the last two layers of the head."""
    symbol = build_embedding(network, 16, **flags).get_internals()["bn1_output"]
    assert millions_of_parameters(symbol) == pytest.approx(known, rel=0.02)


@pytest.mark.parametrize("letter", ["i", "x", "n"])
def test_the_number_has_no_effect(letter):
    one, other = (build_embedding(f"{letter}{number}", 64) for number in (1, 50))
    assert one.list_arguments() == other.list_arguments()
    assert one.infer_shape(data=PHOTO) == other.infer_shape(data=PHOTO)


@pytest.mark.parametrize("build", [fdpn, finception_resnet_v2, fxception, fnasnet])
def test_defaults_are_those_of_a_face_network(build):
    symbol = build.get_symbol(64)
    assert symbol.list_outputs() == ["fc1_output"]
    assert symbol.infer_shape(data=PHOTO)[1] == [(1, 64)]


@pytest.mark.parametrize(
    ("network", "flags", "message"),
    [
        ("p50", {}, "expected one of p68, p92, p107, p131"),
        ("p92", {"version_input": 3}, "a p network accepts 0, 1, 2"),
        ("i2", {"version_input": 3}, "an i network accepts 0, 1, 2"),
        ("x1", {"version_input": 3}, "an x network accepts 0, 1, 2"),
        ("p92", {"version_output": "GNAP"}, "ends in 2688"),
        ("i2", {"version_output": "GNAP"}, "ends in 1536"),
        ("x1", {"version_output": "Q"}, "expected one of A, B"),
    ],
)
def test_invalid_flags_raise_an_error_with_the_valid_values(network, flags, message):
    with pytest.raises(InputError, match=message):
        build_embedding(network, 128, **flags)


def momenta(symbol):
    return {node["name"]: float(node["attrs"]["momentum"]) for node in layers(symbol, "BatchNorm")}


@pytest.mark.parametrize("network", ["p92", "i2", "x1"])
def test_bn_mom_reaches_all_layers(network):
    assert set(momenta(build_embedding(network, 64, bn_mom=0.7)).values()) == {0.7}


def test_bn_mom_only_reaches_the_head_of_nasnet():
    found = momenta(build_embedding("n1", 64, bn_mom=0.7))
    assert {name: value for name, value in found.items() if value != 0.1} == {
        "bn1": 0.7,
        "fc1": 0.7,
    }


def test_shapes_of_the_xception_flows():
    symbol, _ = merge_channels(fxception.get_symbol(64))
    assert shape_of(symbol, "Entry_flow_b1_conv2_relu") == (1, 64, 112, 112)
    assert shape_of(symbol, "Entry_flow_b2_pool") == (1, 64, 56, 56)
    assert shape_of(symbol, "Entry_flow_b4_pool") == (1, 364, 14, 14)
    assert shape_of(symbol, "Middle_flow_block_7_sepconv3_bn") == (1, 364, 14, 14)
    assert shape_of(symbol, "Exit_flow_b5_pool") == (1, 512, 7, 7)
