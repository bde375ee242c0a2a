"""The trainer: binding a checkpoint, steps, gradients, other classifiers."""

import logging

import numpy as np
import pytest

from src.checkpoints.files import save_checkpoint
from src.checkpoints.parameters import adopt_parameters
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.losses.triplet import Triplet
from src.symbols.table import build_embedding
from src.training.classifiers import Classifier, DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.preparation import load_pretrained
from src.training.schedule import Schedule
from src.training.trainer import Trainer

BATCH = 6


def backbone():
    """A convolution and an embedding `fc1` (N, 4) of images of 5×5."""
    body = mx.sym.Convolution(mx.sym.var("data"), num_filter=2, kernel=(3, 3), name="conv0")
    body = mx.sym.BatchNorm(body, name="bn0")
    return mx.sym.FullyConnected(body, num_hidden=4, name="fc1")


def dense(classes=None):
    """A softmax without bias over `classes` classes, or the triplet loss."""
    loss = Softmax(fc7_no_bias=True) if classes else Triplet()
    return DenseClassifier(loss, ClassWeights(classes or 0, 4))


def bind(classifier, arg_params=None, aux_params=None, devices=1):
    trainer = Trainer(backbone(), classifier, [mx.cpu(number) for number in range(devices)])
    trainer.bind(BATCH, (3, 5, 5), mx.init.Uniform(0.1), arg_params, aux_params)
    return trainer


@pytest.fixture
def trained():
    """(arg_params, aux_params) of the network with a classifier of 7 people."""
    return bind(dense(7)).parameters()


def messages(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_checkpoint_that_fits_logs_nothing(trained, caplog):
    caplog.set_level(logging.INFO)
    arg_params, _ = bind(dense(7), *trained).parameters()
    for name, array in trained[0].items():
        np.testing.assert_array_equal(arg_params[name].asnumpy(), array.asnumpy())
    assert messages(caplog) == []


def test_missing_and_surplus_arrays_are_listed(trained, caplog):
    caplog.set_level(logging.INFO)
    arg_params = dict(trained[0])
    arg_params["conv9_weight"] = arg_params.pop("conv0_weight")
    bind(dense(7), arg_params, trained[1])
    assert messages(caplog) == [
        (
            "WARNING",
            "1 of the network's 9 arrays are not in the checkpoint and are initialised: "
            "conv0_weight",
        ),
        ("WARNING", "the network does not use these arrays of the checkpoint: conv9_weight"),
    ]


def test_the_triplet_loss_ignores_the_classifier_and_logs_it(trained, caplog):
    caplog.set_level(logging.INFO)
    bind(dense(), *trained)
    assert messages(caplog) == [
        ("INFO", "the network does not use these arrays of the checkpoint: fc7_weight")
    ]


def test_a_wrong_shape_names_the_array_and_both_shapes(trained):
    arg_params = trained[0] | {"fc1_weight": mx.nd.zeros((4, 9)), "bn0_beta": mx.nd.zeros((3,))}
    with pytest.raises(
        InputError,
        match=r"bn0_beta is \(3,\), expected \(2,\), fc1_weight is \(4, 9\), expected \(4, 18\)$",
    ):
        bind(dense(7), arg_params, trained[1])
    with pytest.raises(InputError, match=r"fc7_weight is \(7, 4\), expected \(8, 4\)$"):
        bind(dense(8), *trained)  # without `drop_other_class_count`


def test_a_checkpoint_of_another_network_is_rejected(trained):
    with pytest.raises(
        InputError,
        match=r"^7 of the network's 9 arrays are not in .* --network .* Missing: conv0_weight, ",
    ):
        bind(dense(7), {name: trained[0][name] for name in ("fc1_bias", "fc7_weight")}, {})


@pytest.mark.parametrize("name", ["arg:{}", "module.{}", "{}"])
def test_training_accepts_the_parameter_names_of_other_programs(trained, tmp_path, caplog, name):
    prefix = str(tmp_path / "m")
    save_checkpoint(prefix, 3, dense(7).saved_graph(backbone()), *trained)
    every = {**trained[0], **trained[1]}
    mx.nd.save(f"{prefix}-0003.params", {name.format(key): every[key] for key in every})
    arg_params, aux_params = load_pretrained(prefix, 7)  # the newest
    trainer = bind(dense(7), arg_params, aux_params)
    for key, array in {**trainer.parameters()[0], **trainer.parameters()[1]}.items():
        np.testing.assert_array_equal(array.asnumpy(), every[key].asnumpy())
    assert "are initialised" not in caplog.text


def test_the_published_model_fits_its_network(shared, caplog):
    """It has every array of the embedding, the weight of pre_fc1 under another name."""
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


# ---------------------------------------------------------------------------------- steps

RATE = 0.1
CONSTANT = Schedule(RATE, [], None, 1)


def batch(seed=0, classes=7):
    random = np.random.RandomState(seed)
    images = random.uniform(-1, 1, (BATCH, 3, 5, 5))
    labels = random.randint(0, classes, BATCH)
    return mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)])


def as_arrays(parameters):
    return {name: array.asnumpy() for name, array in parameters.items()}


def copies(parameters):
    return {name: array.copy() for name, array in parameters.items()}


@pytest.mark.parametrize("devices", [1, 2])
def test_gradients_are_what_a_step_subtracts(trained, devices):
    trainer = bind(dense(7), *trained, devices=devices)
    trainer.init_optimizer(make_optimizer(CONSTANT, 0.0, 0.0, devices))
    trainer.step(batch(), 1)
    gradients = as_arrays(trainer.gradients())
    assert set(gradients) == set(trained[0])
    after = as_arrays(trainer.parameters()[0])
    for name, before in as_arrays(trained[0]).items():
        np.testing.assert_allclose(
            before - after[name], RATE * gradients[name], rtol=1e-3, atol=1e-7, err_msg=name
        )
    assert np.abs(gradients["conv0_weight"]).max() > 1e-4


@pytest.mark.parametrize("devices", [1, 2])
def test_momentum_is_restored(trained, devices):
    def started():
        trainer = bind(dense(7), *trained, devices=devices)
        trainer.init_optimizer(make_optimizer(CONSTANT, 0.9, 0.0, devices))
        return trainer

    whole = started()
    assert whole.momentum() == {}
    for number in (1, 2):
        whole.step(batch(number), number)
    middle, momentum = [copies(part) for part in whole.parameters()], copies(whole.momentum())
    assert set(momentum) == set(trained[0])
    whole.step(batch(3), 3)
    second = bind(dense(7), *middle, devices=devices)
    second.init_optimizer(make_optimizer(CONSTANT, 0.9, 0.0, devices, finished_steps=2))
    second.set_momentum(momentum)
    second.step(batch(3), 3)
    for first_array, second_array in zip(
        as_arrays(whole.parameters()[0]).values(),
        as_arrays(second.parameters()[0]).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(first_array, second_array)


class OutsideClassifier(Classifier):
    """Keeps its class vectors outside of the module, as a sharded or sampled classifier does.

    A softmax in NumPy with plain SGD, on one device.
    """

    def __init__(self, classes, size):
        self.loss = Softmax(fc7_no_bias=True)
        self.num_classes = classes
        self.weights = ClassWeights(classes, size)

    def saved_graph(self, embedding):
        return self.loss.head(embedding, self.weights)

    def trained_graph(self, embedding):
        return embedding

    def label_shapes(self, batch_size):
        return []

    def forward_backward(self, module, batch, step):
        label = batch.label[0].asnumpy().astype(int)
        module.forward(mx.io.DataBatch(batch.data), is_train=True)
        embedding = module.get_outputs()[0].asnumpy()
        logits = embedding @ self.weight.T
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        to_logits = self.probabilities.copy()
        to_logits[np.arange(len(label)), label] -= 1
        to_logits /= len(label)
        self.gradient = to_logits.T @ embedding
        module.backward([mx.nd.array(to_logits @ self.weight)])

    def update(self, module, optimizer, step):
        module.update()
        self.momentum = optimizer.momentum * self.momentum
        self.momentum -= optimizer.lr_scheduler(step) * self.gradient
        self.weight = self.weight + self.momentum

    def outputs(self, module):
        return {"softmax_output": mx.nd.array(self.probabilities)}

    def update_metric(self, module, metric, labels):
        metric.update(labels, [None, mx.nd.array(self.probabilities)])

    def own_parameters(self):
        return {"fc7_weight": mx.nd.array(self.weight)}

    def set_own_parameters(self, arg_params, initializer):
        weight = mx.nd.zeros((self.num_classes, self.weights.embedding_size))
        if arg_params and "fc7_weight" in arg_params:
            weight[:] = arg_params["fc7_weight"]
        else:
            initializer(mx.init.InitDesc("fc7_weight"), weight)
        self.weight = weight.asnumpy().astype(float)
        self.momentum = np.zeros_like(self.weight)

    def own_gradients(self):
        return {"fc7_weight": mx.nd.array(self.gradient)}

    def own_momentum(self):
        return {"fc7_weight": mx.nd.array(self.momentum)}

    def set_own_momentum(self, momentum):
        self.momentum = momentum["fc7_weight"].asnumpy().astype(float)


FALLING = Schedule(RATE, [1], None, 1)


def train(trainer, numbers, finished_steps=0):
    """The metrics of some steps."""
    trainer.init_optimizer(make_optimizer(FALLING, 0.9, 0.0, 1, finished_steps=finished_steps))
    if finished_steps:
        trainer.set_momentum(trainer.saved_momentum)
    metric = mx.metric.CompositeEvalMetric(trainer.classifier.metrics())
    for number in numbers:
        trainer.step(batch(number), number)
        trainer.update_metric(metric, batch(number).label)
    return dict(metric.get_name_value())


def assert_equal(found, expected):
    found, expected = as_arrays(found), as_arrays(expected)
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_another_classifier_needs_no_change_in_the_trainer(trained):
    inside, outside = (bind(kind, *trained) for kind in (dense(7), OutsideClassifier(7, 4)))
    assert train(outside, range(1, 4)) == pytest.approx(train(inside, range(1, 4)), rel=1e-5)
    assert outside.symbol.tojson() == inside.symbol.tojson()
    assert_equal(outside.parameters()[0], inside.parameters()[0])
    assert_equal(outside.gradients(), inside.gradients())
    assert_equal(outside.momentum(), inside.momentum())
    assert outside.non_finite() == []
    outside.classifier.weight[0] = np.nan
    assert outside.non_finite() == ["fc7_weight"]


def test_another_classifier_is_resumed(trained):
    complete = bind(OutsideClassifier(7, 4), *trained)
    train(complete, range(1, 4))
    first = bind(OutsideClassifier(7, 4), *trained)
    train(first, [1, 2])
    second = bind(OutsideClassifier(7, 4), *first.parameters())
    second.saved_momentum = first.momentum()
    train(second, [3], finished_steps=2)
    assert_equal(second.parameters()[0], complete.parameters()[0])


def test_another_classifier_starts_without_a_checkpoint():
    trainer = bind(OutsideClassifier(7, 4))
    weight = trainer.parameters()[0]["fc7_weight"].asnumpy()
    assert weight.shape == (7, 4)
    assert 0.05 < np.abs(weight).max() <= 0.1
