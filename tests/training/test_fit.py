"""The loop over batches, with a model and data that only count."""

import logging
from types import SimpleNamespace

import pytest

from src.common.mxnet_backend import mx
from src.training.fit import Progress, fit
from src.training.metrics import AccMetric, CrossEntropyMetric
from src.training.schedule import Schedule

BATCHES = 3  # in an epoch
PROBABILITIES = mx.nd.array([[0.25, 0.75]])


class Data:
    """Gives the batches that are left of its epoch, as after a state was restored."""

    def __init__(self, left=BATCHES):
        self.left = left

    def reset(self):
        self.left = BATCHES

    def next(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return SimpleNamespace(label=[mx.nd.array([1])])


class Model:
    """Notes the learning rate of each step."""

    def __init__(self):
        self.rates = []
        self.module = self

    def step(self, batch, rate, beta=None):
        self.rates.append(rate)

    def update_metric(self, metric, labels):
        metric.update(labels, [None, PROBABILITIES])


def run(data, progress, end_epoch):
    model = Model()
    metric = mx.metric.CompositeEvalMetric([AccMetric(), CrossEntropyMetric()])
    stopped = fit(model, data, metric, Schedule(0.1, [4], BATCHES, end_epoch), [], progress)
    assert not stopped
    return model.rates


def test_it_goes_through_all_epochs(caplog):
    caplog.set_level(logging.INFO)
    progress = Progress()
    assert run(Data(), progress, 2) == pytest.approx([0.1] * 4 + [0.01] * 2)
    assert (progress.epoch, progress.step) == (2, 6)
    told = [line for line in caplog.messages if "Time" not in line]
    each = ["Epoch[{}] Train-acc=1.000000", "Epoch[{}] Train-lossvalue=0.287682"]
    assert told == [line.format(epoch) for epoch in (0, 1) for line in each]


def test_an_epoch_that_had_ended_when_the_state_was_written_has_no_mean(caplog):
    """Not NaN, which would look as if the run had gone astray."""
    caplog.set_level(logging.INFO)
    assert len(run(Data(left=0), Progress(epoch=0, nbatch=BATCHES - 1, step=BATCHES), 2)) == BATCHES
    assert "nan" not in caplog.text
    assert "Epoch[1] Train-acc=1.000000" in caplog.messages
