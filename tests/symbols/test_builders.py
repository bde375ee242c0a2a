"""Builders of the networks m, d and s: depths, shapes, defaults and invalid flags."""

import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols import fdensenet, fmobilenet, fmobilenetv2, spherenet
from src.symbols.table import build_embedding, initializer

PHOTO = (1, 3, 112, 112)


def layers(symbol, operator):
    return [n["name"] for n in json.loads(symbol.tojson())["nodes"] if n["op"] == operator]


def shape_of(symbol, name):
    """Shape of the output of the layer `name`, for one photo."""
    _, shapes, _ = symbol.get_internals()[f"{name}_output"].infer_shape(data=PHOTO)
    return shapes[0]


def argument_shapes(symbol):
    return dict(zip(symbol.list_arguments(), symbol.infer_shape(data=PHOTO)[0], strict=True))


@pytest.mark.parametrize("depth", [20, 36, 60, 64, 104])
def test_the_depth_of_a_spherenet_is_its_number_of_convolutions(depth):
    assert len(layers(spherenet.get_symbol(512, depth), "Convolution")) == depth


@pytest.mark.parametrize("depth", [121, 161, 169, 201])
def test_the_depth_of_a_densenet_is_its_number_of_layers(depth):
    """Convolutions and the fully connected layer, with the paper's stem."""
    symbol = fdensenet.get_symbol(512, depth, version_input=0)
    assert len(layers(symbol, "Convolution")) + len(layers(symbol, "FullyConnected")) == depth


def test_mobilenets_have_the_layers_of_the_papers():
    """Thirteen pairs of a depthwise and a 1×1 convolution; seventeen bottlenecks."""
    assert len(layers(fmobilenet.get_symbol(512), "Convolution")) == 1 + 2 * 13
    version_2 = layers(fmobilenetv2.get_symbol(512), "Convolution")
    # Three shortcuts have a convolution: those of the stages that begin with stride 1.
    assert len(version_2) == 1 + 3 * 17 + 3 + 1


@pytest.mark.parametrize(
    ("network", "flags", "shapes"),
    [
        (
            "m1",
            {},
            {
                "conv_1_relu": (32, 112, 112),
                "conv_2_relu": (64, 112, 112),
                "conv_4_relu": (128, 56, 56),
                "conv_6_relu": (256, 28, 28),
                "conv_12_relu": (512, 14, 14),
                "conv_14_relu": (1024, 7, 7),
            },
        ),
        ("m1", {"version_input": 0}, {"conv_1_relu": (32, 56, 56), "conv_14_relu": (1024, 4, 4)}),
        (
            "m2",
            {},
            {
                "relu0_fwd": (32, 112, 112),
                "invertedresidual1_batchnorm2_fwd": (24, 56, 56),
                "invertedresidual9_batchnorm2_fwd": (64, 28, 28),
                "invertedresidual12_batchnorm2_fwd": (96, 14, 14),
                "mobilenetv20_hybridsequential0_relu0_fwd": (1280, 7, 7),
            },
        ),
        (
            "d121",
            {},
            {
                "relu0": (64, 112, 112),
                "head_bn3": (64, 56, 56),
                "DBstage1_concat6": (256, 56, 56),
                "TBstage1_pool1": (128, 28, 28),
                "TBstage3_pool3": (512, 7, 7),
                "DBstage4_concat16": (1024, 7, 7),
            },
        ),
        # The face stem has at most 64 channels, but the transitions are computed from 96.
        (
            "d161",
            {},
            {
                "relu0": (64, 112, 112),
                "DBstage1_concat6": (352, 56, 56),
                "TBstage1_pool1": (192, 28, 28),
            },
        ),
        ("d161", {"version_input": 0}, {"conv0": (96, 56, 56), "DBstage1_concat6": (384, 28, 28)}),
        ("s20", {}, {"relu1_3": (64, 56, 56), "relu2_5": (128, 28, 28), "relu4_3": (512, 7, 7)}),
    ],
)
def test_shapes_match_the_papers(network, flags, shapes):
    symbol = build_embedding(network, 512, **flags)
    assert {name: shape_of(symbol, name)[1:] for name in shapes} == shapes


@pytest.mark.parametrize(
    ("network", "flags", "message"),
    [
        ("s10", {}, "s10: expected one of s20, s36, s60, s64, s104"),
        ("s4", {}, "s4: expected one of s20"),
        ("d100", {}, "d100: expected one of d121, d161, d169, d201"),
        ("d121", {"version_input": 3}, "--version-input 3: a d network accepts 0, 1, 2"),
        ("m1", {"version_input": 3}, "--version-input 3: m1 accepts 0, 1, 2"),
        ("m1", {"version_output": "X"}, "--version-output X: expected one of A, B"),
        ("m1", {"version_output": "GNAP"}, "needs a network that ends in 512 channels.* 1024"),
        ("m1", {"version_output": "GDC", "version_input": 0}, "does not fit"),
        ("d121", {"version_output": "A"}, "--emb-size 1024"),
    ],
)
def test_invalid_combinations_raise_an_error_with_the_valid_values(network, flags, message):
    with pytest.raises(InputError, match=message):
        build_embedding(network, 512, **flags)


def test_defaults_are_those_of_2018():
    """With only the embedding size and the depth given: --version-input 1, --version-output E."""
    for short, network in (
        (fmobilenet.get_symbol(512), "m1"),
        (fmobilenetv2.get_symbol(512), "m2"),
        (fdensenet.get_symbol(512, 121), "d121"),
        (spherenet.get_symbol(512, 20), "s20"),
    ):
        whole = build_embedding(network, 512, version_input=1, version_output="E")
        assert argument_shapes(short) == argument_shapes(whole)


@pytest.mark.parametrize("network", ["m2", "s20"])
def test_networks_with_one_version_ignore_the_flags(network):
    plain = build_embedding(network, 256)
    flags = {"version_input": 0, "version_output": "GDC", "version_se": 1, "version_unit": 2}
    assert argument_shapes(build_embedding(network, 256, **flags)) == argument_shapes(plain)


def test_every_m_number_except_1_is_version_2():
    assert build_embedding("m5", 64).list_arguments() == build_embedding("m2", 64).list_arguments()
    assert "conv_2_dw_conv2d_weight" in build_embedding("m1", 64).list_arguments()


def initial_parameters(network):
    module = mx.mod.Module(build_embedding(network, 16), label_names=None)
    module.bind([("data", PHOTO)], for_training=False)
    mx.random.seed(3)
    module.init_params(initializer(network))
    return [{name: array.asnumpy() for name, array in part.items()} for part in module.get_params()]


def test_a_spherenet_starts_with_small_weights_and_zero_biases():
    parameters, _ = initial_parameters("s20")
    for name in ("conv1_2_weight", "conv4_1_weight"):
        assert np.std(parameters[name]) == pytest.approx(0.01, rel=0.05)
    for name in ("conv1_1_bias", "fc1_bias"):
        assert not parameters[name].any()
    np.testing.assert_array_equal(parameters["relu3_2_gamma"], 0.25)
    # Only the last layer has the network's own initialiser: uniform, half-width sqrt(2 / fan-in).
    widest = np.abs(parameters["fc1_weight"]).max()
    assert widest == pytest.approx((2 / (512 * 7 * 7)) ** 0.5, rel=0.01)


def test_parameters_with_their_own_initialiser():
    parameters, statistics = initial_parameters("m2")
    np.testing.assert_array_equal(parameters["invertedresidual3_batchnorm1_gamma"], 1.0)
    np.testing.assert_array_equal(parameters["invertedresidual3_batchnorm1_beta"], 0.0)
    np.testing.assert_array_equal(statistics["batchnorm0_running_var"], 1.0)
    np.testing.assert_array_equal(statistics["batchnorm0_running_mean"], 0.0)
    widest = np.abs(parameters["conv0_weight"]).max()
    assert widest == pytest.approx((2 / 27) ** 0.5, rel=0.02)
