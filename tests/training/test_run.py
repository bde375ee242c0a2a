"""The optimizer of a run: which factors it sees."""

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.common.noise_sgd import NoiseSGD
from src.training.model import TrainingModel
from src.training.run import make_optimizer

DATA, LABELS = np.ones((4, 3, 2, 2), np.float32), np.array([0, 1, 2, 0], np.float32)


def changes(devices=1, **factors):
    """What one step at rate 1 adds to fc7_weight and fc7_bias, which begin at 1 and 0."""
    weight = mx.sym.var("fc7_weight", lr_mult=factors.get("fc7_lr_mult", 1.0))
    bias = mx.sym.var("fc7_bias", lr_mult=2.0, wd_mult=0.0)
    logits = mx.sym.FullyConnected(mx.sym.var("data"), weight, bias, num_hidden=3)
    label = mx.sym.var("softmax_label")
    symbol = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
    model = TrainingModel(symbol, [mx.cpu(number) for number in range(devices)])
    given = {"fc7_weight": mx.nd.ones((3, 12)), "fc7_bias": mx.nd.zeros(3)}
    model.bind(4, (3, 2, 2), mx.init.Zero(), given, {})
    decay = factors.pop("wd", 0.0)
    model.init_optimizer(make_optimizer(1.0, 0.0, decay, devices, **factors))
    batch = mx.io.DataBatch([mx.nd.array(DATA)], [mx.nd.array(LABELS)])
    model.step(batch, 1.0)
    after, _ = model.parameters()
    return after["fc7_weight"].asnumpy()[:, 0] - 1, after["fc7_bias"].asnumpy()


# All probabilities are 1/3; the classes are own to 2, 1 and 1 of 4 images.
GRADIENT = np.array([1 / 3 - 1 / 2, 1 / 3 - 1 / 4, 1 / 3 - 1 / 4])


@pytest.mark.parametrize("devices", [1, 2])
def test_a_step_is_the_mean_gradient_on_any_number_of_devices(devices):
    weight, bias = changes(devices)
    np.testing.assert_allclose(weight, -GRADIENT, atol=1e-6)
    # 2018: the symbol says lr_mult 2 for the bias, the optimizer did not look there.
    np.testing.assert_allclose(bias, -GRADIENT, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
def test_the_factors_to_the_classifier_take_effect(devices):
    weight, bias = changes(devices, fc7_lr_mult=3.0)
    np.testing.assert_allclose(weight, -3 * GRADIENT, atol=1e-6)
    np.testing.assert_allclose(bias, -GRADIENT, atol=1e-6)
    weight, _ = changes(devices, wd=0.01, fc7_wd_mult=10.0)
    np.testing.assert_allclose(weight, -GRADIENT - 0.1, atol=1e-6)


def test_noise_only_where_it_is_asked_for(capsys):
    assert type(make_optimizer(0.1, 0.9, 0.0, 1)) is mx.optimizer.SGD
    noisy = make_optimizer(0.1, 0.9, 0.0, 2, noise=0.5)
    assert isinstance(noisy, NoiseSGD)
    assert (noisy.scale, noisy.momentum, noisy.rescale_grad) == (0.5, 0.9, 0.5)
    assert capsys.readouterr().out == "use noise sgd\n"
