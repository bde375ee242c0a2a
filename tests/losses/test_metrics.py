"""Metrics against numbers calculated by hand."""

import math

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.losses.metrics import AccMetric, CrossEntropyMetric, LossValueMetric

LABELS = [mx.nd.array([0, 2, 1])]
PROBABILITIES = mx.nd.array([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.25, 0.5, 0.25]])
OUTPUTS = [mx.nd.zeros((3, 4)), PROBABILITIES]


def test_accuracy():
    metric = AccMetric()
    metric.update(LABELS, OUTPUTS)
    assert metric.get() == ("acc", pytest.approx(2 / 3))


def test_labels_of_records_with_more_than_one_number():
    for metric in (AccMetric(), CrossEntropyMetric()):
        metric.update(LABELS, OUTPUTS)
        once = metric.get()
        metric.update([mx.nd.array([[0, 1], [2, 1], [1, 1]])], OUTPUTS)
        assert metric.get() == once


def test_cross_entropy():
    metric = CrossEntropyMetric()
    metric.update(LABELS, OUTPUTS)
    expected = -(math.log(0.5) + math.log(0.3) + math.log(0.5)) / 3
    assert metric.get() == ("lossvalue", pytest.approx(expected, rel=1e-6))


def test_a_probability_of_zero_gives_a_finite_loss_but_nan_stays_nan():
    metric = CrossEntropyMetric()
    metric.update([mx.nd.array([1])], [None, mx.nd.array([[1.0, 0.0]])])
    assert metric.get()[1] == pytest.approx(-math.log(1e-30))
    metric.update([mx.nd.array([1])], [None, mx.nd.array([[1.0, np.nan]])])
    assert math.isnan(metric.get()[1])


def test_loss_value_is_the_last_output():
    metric = LossValueMetric()
    for loss in (0.25, 0.75):
        metric.update(LABELS, [OUTPUTS[0], LABELS[0], mx.nd.array([loss])])
    assert metric.get() == ("lossvalue", 0.5)


def test_speed_lines_do_not_reset_the_mean_over_the_epoch():
    metric = LossValueMetric()
    metric.update(None, [mx.nd.array([1.0])])
    metric.reset_local()
    metric.update(None, [mx.nd.array([3.0])])
    assert metric.get()[1] == 3.0
    assert metric.get_global()[1] == 2.0
