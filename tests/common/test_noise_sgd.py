"""SGD with noise: only the noise differs from plain SGD."""

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.common.noise_sgd import NoiseSGD

OPTIONS = {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01, "rescale_grad": 0.5}


def stepped(optimizer, steps=1, size=20000):
    weight = mx.nd.ones(size)
    updater = mx.optimizer.get_updater(optimizer)
    for _ in range(steps):
        updater(0, mx.nd.ones(size) * 3, weight)
    return weight.asnumpy()


def test_without_noise_it_is_sgd():
    plain = stepped(mx.optimizer.SGD(**OPTIONS), steps=3)
    np.testing.assert_array_equal(stepped(NoiseSGD(0.0, **OPTIONS), steps=3), plain)


def test_the_noise_has_the_requested_deviation():
    mx.random.seed(0)
    plain = stepped(mx.optimizer.SGD(**OPTIONS))
    noise = (stepped(NoiseSGD(2.0, **OPTIONS)) - plain) / OPTIONS["learning_rate"]
    assert abs(noise.mean()) < 0.05
    assert noise.std() == pytest.approx(2.0, rel=0.03)


def test_several_arrays_at_a_time():
    """Module passes several arrays at a time; each gets its own noise."""
    mx.random.seed(0)
    weights = [mx.nd.zeros(5), mx.nd.zeros(5)]
    optimizer = NoiseSGD(1.0, learning_rate=1.0)
    updater = mx.optimizer.get_updater(optimizer)
    updater([0, 1], [mx.nd.zeros(5), mx.nd.zeros(5)], weights)
    first, second = (weight.asnumpy() for weight in weights)
    assert np.unique(np.concatenate([first, second])).size == 10
