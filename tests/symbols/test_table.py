"""From --network to a symbol and an initialiser."""

import json

import numpy as np
import pytest

from src.checkpoints.parameters import adopt_parameters
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import HEADS
from src.symbols.table import (
    build_embedding,
    find_network,
    initializer,
    letters,
    parse_network,
    specs,
)


def test_letter_and_number():
    assert parse_network("r50") == ("r", 50)
    assert parse_network("y1") == ("y", 1)


@pytest.mark.parametrize("network", ["", "r", "50", "q1", "r-50", "R50", "r50e", "y1 "])
def test_unknown_networks_raise_an_error_with_the_known_ones(network):
    with pytest.raises(InputError, match=", ".join(letters())):
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


def test_head_z_is_the_flattened_map():
    embedding = build_embedding("r18", 512 * 7 * 7, version_output="Z")
    assert embedding.list_outputs() == ["fc1_output"]


@pytest.mark.parametrize("size", [128, 512, 600])
def test_gnap_has_the_requested_width(size):
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
        (
            {"network": "s20", "embedding_size": 0},
            "--emb-size 0: expected an integer of at least 1",
        ),
        ({"network": "r18", "embedding_size": -2}, "--emb-size -2: expected an integer"),
        ({"network": "r18", "version_output": "GDC", "version_input": 0}, "does not fit"),
    ],
)
def test_invalid_combinations_raise_an_error_with_the_valid_values(flags, message, capfd):
    with pytest.raises(InputError, match=message):
        build_embedding(**flags)
    assert capfd.readouterr().out == ""  # MXNet would print shapes between a command's results


@pytest.mark.parametrize(
    ("network", "output", "momenta"),
    [
        *(("y1", "GNAP", {0.7}), ("r18", "E", {0.7}), ("m1", "E", {0.7}), ("m2", "E", {0.7})),
        *(("d121", "E", {0.7}), ("p92", "E", {0.7}), ("i2", "E", {0.7}), ("x1", "E", {0.7})),
        # 2018: the cells of NASNet keep another momentum.
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
    head_f = build_embedding("r18", version_output="F")  # in this head, that is the right name
    assert adopt_parameters(head_f, old) == old


def test_one_spec_for_each_family():
    families = [(spec.letter, spec.numbers) for spec in specs()]
    assert letters() == ["d", "i", "m", "n", "p", "r", "s", "x", "y"]
    assert [letter for letter, _ in families].count("m") == 2
    assert find_network("m1")[0].family != find_network("m2")[0].family
    assert find_network("m2")[0] is find_network("m7")[0]
    for spec in specs():
        assert spec.rows
        for row in spec.rows:
            found, number = find_network(row.name)
            assert found is spec
            assert spec.numbers is None or number in spec.numbers


def test_a_network_is_built_once_for_the_same_flags():
    first = build_embedding("r18", 128, version_output="E")
    assert build_embedding("r18", 128, version_output="E") is first
    assert build_embedding("r18", 64, version_output="E") is not first
