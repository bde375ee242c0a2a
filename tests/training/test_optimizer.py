"""The optimizer of a run: its multipliers and its schedule."""

import pickle

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.common.noise_sgd import NoiseSGD
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.training.classifiers import DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.trainer import Trainer

DATA, LABELS = np.ones((4, 3, 2, 2), np.float32), np.array([0, 1, 2, 0], np.float32)


def bound_trainer(devices=1, lr_mult=1.0):
    """A softmax on the pixels; fc7_weight starts at 1 and fc7_bias at 0."""
    classifier = DenseClassifier(Softmax(), ClassWeights(3, 12, lr_mult=lr_mult))
    embedding = mx.sym.Flatten(mx.sym.var("data"), name="fc1")
    trainer = Trainer(embedding, classifier, [mx.cpu(number) for number in range(devices)])
    given = {"fc7_weight": mx.nd.ones((3, 12)), "fc7_bias": mx.nd.zeros(3)}
    trainer.bind(4, (3, 2, 2), mx.init.Zero(), given, {})
    return trainer


def step(trainer, number):
    trainer.step(mx.io.DataBatch([mx.nd.array(DATA)], [mx.nd.array(LABELS)]), number)


CONSTANT = Schedule(1.0, [], None, 1)


def changes(devices=1, decay=0.0, lr_mult=1.0, wd_mult=1.0):
    """The changes of fc7_weight and fc7_bias by one step at rate 1."""
    trainer = bound_trainer(devices, lr_mult)
    factors = {"fc7_weight": lr_mult}, {"fc7_weight": wd_mult}
    trainer.init_optimizer(make_optimizer(CONSTANT, 0.0, decay, devices, 0.0, *factors))
    step(trainer, 1)
    after, _ = trainer.parameters()
    return after["fc7_weight"].asnumpy()[:, 0] - 1, after["fc7_bias"].asnumpy()


# All probabilities are 1/3; the three classes have 2, 1 and 1 of the 4 images.
GRADIENT = np.array([1 / 3 - 1 / 2, 1 / 3 - 1 / 4, 1 / 3 - 1 / 4])


@pytest.mark.parametrize("devices", [1, 2])
def test_a_step_is_the_mean_gradient_on_any_number_of_devices(devices):
    weight, bias = changes(devices)
    np.testing.assert_allclose(weight, -GRADIENT, atol=1e-6)
    # 2018: the symbol's lr_mult 2 for the bias has no effect.
    np.testing.assert_allclose(bias, -GRADIENT, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
def test_the_multipliers_of_the_classifier_take_effect(devices):
    weight, bias = changes(devices, lr_mult=3.0)
    np.testing.assert_allclose(weight, -3 * GRADIENT, atol=1e-6)
    np.testing.assert_allclose(bias, -GRADIENT, atol=1e-6)
    weight, _ = changes(devices, decay=0.01, wd_mult=10.0)
    np.testing.assert_allclose(weight, -GRADIENT - 0.1, atol=1e-6)


def test_noise_is_only_added_on_request(capsys):
    assert type(make_optimizer(CONSTANT, 0.9, 0.0, 1)) is mx.optimizer.SGD
    noisy = make_optimizer(CONSTANT, 0.9, 0.0, 2, noise=0.5)
    assert isinstance(noisy, NoiseSGD)
    assert (noisy.scale, noisy.momentum, noisy.rescale_grad) == (0.5, 0.9, 0.5)
    assert capsys.readouterr().out == "use noise sgd\n"


# ---------------------------------------------------------------------------------- schedule

FALLING = Schedule(1.0, [2, 3], None, 1, delay=1)
RATES = [1.0, 1.0, 1.0, 0.1, 0.01]


def rates_in_force(trainer, numbers):
    """The rate of each step: the change of the bias divided by the gradient."""
    rates = []
    for number in numbers:
        before = trainer.parameters()[0]["fc7_bias"].asnumpy()
        step(trainer, number)
        after = trainer.parameters()[0]["fc7_bias"].asnumpy()
        gradient = trainer.gradients()["fc7_bias"].asnumpy()
        rates.append(float((before - after)[0] / gradient[0]))
    return rates


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("store", ["device", "local"])
def test_the_optimizer_itself_follows_the_schedule(devices, store):
    trainer = bound_trainer(devices)
    trainer.init_optimizer(make_optimizer(FALLING, 0.0, 0.0, devices), store)
    np.testing.assert_allclose(rates_in_force(trainer, range(1, 6)), RATES, rtol=1e-3)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_resumed_optimizer_continues_the_schedule(devices):
    trainer = bound_trainer(devices)
    optimizer = make_optimizer(FALLING, 0.0, 0.0, devices, finished_steps=3)
    trainer.init_optimizer(optimizer)
    np.testing.assert_allclose(rates_in_force(trainer, [4, 5]), RATES[3:], rtol=1e-3)


def test_the_schedule_survives_pickling_for_a_parameter_server():
    """MXNet sends the optimizer as a pickle."""
    factors = {"fc7_weight": 3.0}, {"fc7_weight": 10.0}
    optimizer = pickle.loads(pickle.dumps(make_optimizer(FALLING, 0.9, 0.1, 1, 0.5, *factors)))
    assert isinstance(optimizer, NoiseSGD)
    optimizer.idx2name = {0: "fc7_weight", 1: "conv0_bias"}
    for count, rate in enumerate(RATES, start=1):
        optimizer._update_count([0, 1])
        assert optimizer._get_lrs([0, 1]) == pytest.approx([3 * rate, rate]), count
    assert optimizer._get_wds([0, 1]) == pytest.approx([1.0, 0.1])
