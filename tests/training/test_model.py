"""What a checkpoint has to do with the network that is to be trained."""

import logging

import numpy as np
import pytest

from src.common import checkpoints
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.training.model import TrainingModel
from src.training.networks import adopt_parameters, build_embedding
from src.training.preparation import load_pretrained


def network(classes=None):
    """A convolution, an embedding fc1 and, with classes, a classifier fc7."""
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=2, kernel=(3, 3), name="conv0")
    body = mx.sym.BatchNorm(body, name="bn0")
    body = mx.sym.FullyConnected(body, num_hidden=4, name="fc1")
    if classes:
        body = mx.sym.FullyConnected(body, num_hidden=classes, no_bias=True, name="fc7")
        return mx.sym.SoftmaxOutput(body, mx.sym.var("softmax_label"), name="softmax")
    return mx.sym.MakeLoss(mx.sym.broadcast_sub(body, mx.sym.var("softmax_label").reshape((-1, 1))))


def bind(symbol, arg_params=None, aux_params=None):
    model = TrainingModel(symbol, [mx.cpu()])
    model.bind(2, (3, 5, 5), mx.init.Uniform(0.1), arg_params, aux_params)
    return model


@pytest.fixture
def trained():
    """(arg_params, aux_params) of the network with a classifier of 7 people."""
    return bind(network(7)).parameters()


def messages(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_checkpoint_that_fits_needs_no_words(trained, caplog):
    caplog.set_level(logging.INFO)
    arg_params, _ = bind(network(7), *trained).parameters()
    for name, array in trained[0].items():
        np.testing.assert_array_equal(arg_params[name].asnumpy(), array.asnumpy())
    assert messages(caplog) == []


def test_missing_and_surplus_arrays_are_listed(trained, caplog):
    caplog.set_level(logging.INFO)
    arg_params = dict(trained[0])
    arg_params["conv9_weight"] = arg_params.pop("conv0_weight")
    bind(network(7), arg_params, trained[1])
    assert messages(caplog) == [
        (
            "WARNING",
            "1 of the network's 9 arrays are not in the checkpoint and drawn anew: conv0_weight",
        ),
        ("WARNING", "the network does not use these arrays of the checkpoint: conv9_weight"),
    ]


def test_triplets_leave_the_classifier_out_with_a_notice(trained, caplog):
    caplog.set_level(logging.INFO)
    bind(network(), *trained)
    assert messages(caplog) == [
        ("INFO", "the network does not use these arrays of the checkpoint: fc7_weight")
    ]


def test_a_wrong_shape_names_the_array_and_both_shapes(trained):
    arg_params = trained[0] | {"fc1_weight": mx.nd.zeros((4, 9)), "bn0_beta": mx.nd.zeros((3,))}
    with pytest.raises(
        InputError,
        match=r"bn0_beta is \(3,\), expected \(2,\), fc1_weight is \(4, 9\), expected \(4, 18\)$",
    ):
        bind(network(7), arg_params, trained[1])
    with pytest.raises(InputError, match=r"fc7_weight is \(7, 4\), expected \(8, 4\)$"):
        bind(network(8), *trained)  # without `drop_other_class_count`


def test_a_checkpoint_of_another_network_is_refused(trained):
    with pytest.raises(
        InputError,
        match=r"^7 of the network's 9 arrays are not in .* --network .* Missing are conv0_weight, ",
    ):
        bind(network(7), {name: trained[0][name] for name in ("fc1_bias", "fc7_weight")}, {})


@pytest.mark.parametrize("name", ["arg:{}", "module.{}", "{}"])
def test_training_begins_from_the_names_of_other_programs(trained, tmp_path, caplog, name):
    prefix = str(tmp_path / "m")
    checkpoints.save(prefix, 3, network(7), *trained)
    every = {**trained[0], **trained[1]}
    mx.nd.save(f"{prefix}-0003.params", {name.format(key): every[key] for key in every})
    arg_params, aux_params = load_pretrained(prefix, 7)  # the newest
    model = bind(network(7), arg_params, aux_params)
    for key, array in {**model.parameters()[0], **model.parameters()[1]}.items():
        np.testing.assert_array_equal(array.asnumpy(), every[key].asnumpy())
    assert "drawn anew" not in caplog.text


def test_the_published_model_fits_its_network(shared, caplog):
    """Every array of the embedding is taken from it, its pre_fc1 under another name."""
    prefix = shared / "pretrained" / "model-y1-test2" / "model"
    arg_params, aux_params = load_pretrained(f"{prefix},0", None)
    symbol = build_embedding("y1", 128, version_output="GDC")
    arg_params = adopt_parameters(symbol, arg_params)
    assert set(symbol.list_arguments()) - set(arg_params) == {"data"}
    assert set(symbol.list_auxiliary_states()) == set(aux_params)
    given = {name: array.shape for name, array in {**arg_params, **aux_params}.items()}
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, 112, 112))
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    for name, shape in zip(names, shapes + aux_shapes, strict=True):
        assert given.get(name, (1, 3, 112, 112)) == shape
    assert "does not use" not in caplog.text
