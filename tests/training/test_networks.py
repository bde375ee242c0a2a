"""From --network to a symbol and an initialiser."""

import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import HEADS
from src.training.networks import (
    BUILDERS,
    adopt_parameters,
    build_embedding,
    initializer,
    parse_network,
)


def test_letter_and_number():
    assert parse_network("r50") == ("r", 50)
    assert parse_network("y1") == ("y", 1)


@pytest.mark.parametrize("network", ["", "r", "50", "q1", "r-50", "R50", "r50e", "y1 "])
def test_unknown_networks_are_refused_with_the_known_ones(network):
    with pytest.raises(InputError, match=", ".join(BUILDERS)):
        parse_network(network)


@pytest.mark.parametrize("output", ["GDC", "GNAP"])
def test_mobilefacenet_has_its_embedding_size(output):
    embedding = build_embedding("y1", 96, version_output=output)
    _, shapes, _ = embedding.infer_shape(data=(5, 3, 112, 112))
    assert embedding.list_outputs() == ["fc1_output"]
    assert shapes == [(5, 96)]


@pytest.mark.parametrize("output", sorted(set(HEADS) - {"Z"}))
def test_every_head_ends_in_fc1(output):
    embedding = build_embedding("r18", 512, version_output=output)
    assert embedding.list_outputs() == ["fc1_output"]
    assert embedding.get_internals().list_outputs().count("fc1_output") == 1


def test_head_z_is_the_whole_map():
    embedding = build_embedding("r18", 512 * 7 * 7, version_output="Z")
    assert embedding.list_outputs() == ["fc1_output"]


@pytest.mark.parametrize("size", [128, 512, 600])
def test_gnap_is_as_wide_as_asked_for(size):
    embedding = build_embedding("r18", size, version_output="GNAP")
    _, shapes, _ = embedding.infer_shape(data=(2, 3, 112, 112))
    assert shapes == [(2, size)]
    assert ("convx_weight" in embedding.list_arguments()) == (size > 512)
    assert ("pre_fc1_weight" in embedding.list_arguments()) == (size < 512)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"network": "y1", "version_output": "E"}, "--version-output GNAP or GDC"),
        ({"network": "r10"}, "r18, r34, r50"),
        ({"network": "r50", "version_unit": 4}, "--version-unit 4.*0, 1, 2, 3"),
        ({"network": "r50", "version_input": 2}, "--version-input 2.*0, 1"),
        ({"network": "r50", "version_act": "swish"}, "--version-act swish.*prelu"),
        ({"network": "r50", "version_output": "X"}, "--version-output X.*GDC"),
        ({"network": "r18", "version_output": "A"}, "--emb-size 512"),
        ({"network": "r18", "version_output": "Z"}, "--emb-size 25088"),
        ({"network": "r101", "version_output": "GNAP"}, "ends in 2048"),
        ({"network": "s20", "embedding_size": 0}, "--emb-size 0: expected a whole number from 1"),
        ({"network": "r18", "embedding_size": -2}, "--emb-size -2: expected a whole number"),
        ({"network": "r18", "version_output": "GDC", "version_input": 0}, "does not fit"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(flags, message, capfd):
    with pytest.raises(InputError, match=message):
        build_embedding(**flags)
    assert capfd.readouterr().out == ""  # MXNet would print shapes among a command's results


@pytest.mark.parametrize(
    ("network", "output", "momenta"),
    [
        *(("y1", "GNAP", {0.7}), ("r18", "E", {0.7}), ("m1", "E", {0.7}), ("m2", "E", {0.7})),
        *(("d121", "E", {0.7}), ("p92", "E", {0.7}), ("i2", "E", {0.7}), ("x1", "E", {0.7})),
        # 2018: the cells of NASNet have another momentum, which stays.
        *(("n1", "E", {0.1, 0.7}), ("s20", "E", set())),
    ],
)
def test_momentum_reaches_every_normalisation(network, output, momenta):
    symbol = build_embedding(network, 512, version_output=output, bn_mom=0.7)
    nodes = [n for n in json.loads(symbol.tojson())["nodes"] if n["op"] == "BatchNorm"]
    assert {float(node["attrs"].get("momentum", 0.9)) for node in nodes} == momenta


@pytest.mark.parametrize(
    ("network", "kind", "fan"),
    [
        *(("r50", "gaussian", "out"), ("y1", "gaussian", "out")),
        *(("i2", "gaussian", "in"), ("x1", "gaussian", "in")),
        *(("m1", "uniform", "in"), ("d121", "uniform", "in"), ("p92", "uniform", "in")),
        *(("n1", "uniform", "in"), ("s20", "uniform", "in")),
    ],
)
def test_initial_weights_have_xavier_variance(network, kind, fan):
    """Variance 2/fan of the Gaussian; the uniform distribution has 2/fan as its half-width²."""
    chosen = initializer(network)
    weight = mx.nd.zeros((512, 64, 3, 3))
    mx.random.seed(1)
    chosen(mx.init.InitDesc("conv_weight"), weight)
    weight = weight.asnumpy()
    places = {"in": 64, "out": 512}[fan] * 9
    variance = 2 / places if kind == "gaussian" else 2 / places / 3
    np.testing.assert_allclose(weight.var(), variance, rtol=0.02)
    assert (np.abs(weight).max() <= 1.001 * (2 / places) ** 0.5) == (kind == "uniform")


def test_slopes_start_at_a_quarter_and_scales_at_one():
    symbol = build_embedding("r18", 128, version_output="D")
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (1, 3, 112, 112))])
    module.init_params(initializer("r18"))
    arguments, auxiliary = module.get_params()
    for name in ("relu0_gamma", "stage1_unit1_relu1_gamma", "fc1_relu_gamma"):
        np.testing.assert_array_equal(arguments[name].asnumpy(), 0.25)
    for name in ("bn0_gamma", "fc1_gamma"):
        np.testing.assert_array_equal(arguments[name].asnumpy(), 1.0)
    np.testing.assert_array_equal(auxiliary["fc1_moving_var"].asnumpy(), 1.0)
    np.testing.assert_array_equal(auxiliary["fc1_moving_mean"].asnumpy(), 0.0)


def test_published_name_of_a_weight_is_adopted():
    symbol = build_embedding("y1", version_output="GDC")
    old = {"fc1_weight": 1, "pre_fc1_bias": 2}
    assert adopt_parameters(symbol, old) == {"pre_fc1_weight": 1, "pre_fc1_bias": 2}
    assert old == {"fc1_weight": 1, "pre_fc1_bias": 2}
    new = {"pre_fc1_weight": 1, "fc1_weight": 3}
    assert adopt_parameters(symbol, new) == new
    head_f = build_embedding("r18", version_output="F")  # whose weight does bear that name
    assert adopt_parameters(head_f, old) == old
