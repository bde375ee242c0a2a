"""The loop over batches, with a trainer and data that only count."""

import logging
from types import SimpleNamespace

from src.common.errors import StopRequested
from src.common.mxnet_backend import mx
from src.common.workers import Workers
from src.losses.metrics import AccMetric, CrossEntropyMetric
from src.training.fit import fit
from src.training.hooks import Hook, Hooks, Progress
from src.training.schedule import Schedule

BATCHES = 3  # in an epoch
PROBABILITIES = mx.nd.array([[0.25, 0.75]])


class Data:
    """Returns the remaining batches of its epoch, as after restoring a state."""

    def __init__(self, left=BATCHES):
        self.left = left

    def reset(self):
        self.left = BATCHES

    def next(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return SimpleNamespace(label=[mx.nd.array([1])])


class Trainer:
    """Records the number of each step."""

    workers = Workers()

    def __init__(self):
        self.steps = []

    def step(self, batch, number):
        self.steps.append(number)

    def update_metric(self, metric, labels):
        metric.update(labels, [None, PROBABILITIES])


class Events(Hook):
    """Records its calls."""

    def __init__(self):
        self.events = []

    def after_step(self, trainer, progress):
        self.events.append(("step", progress.epoch, progress.nbatch, progress.step))

    def after_epoch(self, trainer, progress):
        self.events.append(("epoch", progress.epoch, progress.nbatch, progress.step))


def run(data, progress, end_epoch, *hooks):
    trainer = Trainer()
    metric = mx.metric.CompositeEvalMetric([AccMetric(), CrossEntropyMetric()])
    stopped = fit(
        trainer, data, metric, Schedule(0.1, [4], BATCHES, end_epoch), Hooks(hooks), progress
    )
    assert not stopped
    return trainer.steps


def test_all_epochs_are_trained(caplog):
    caplog.set_level(logging.INFO)
    progress = Progress()
    assert run(Data(), progress, 2) == [1, 2, 3, 4, 5, 6]
    assert (progress.epoch, progress.step) == (2, 6)
    logged = [line for line in caplog.messages if "Time" not in line]
    each = ["Epoch[{}] Train-acc=1.000000", "Epoch[{}] Train-lossvalue=0.287682"]
    assert logged == [line.format(epoch) for epoch in (0, 1) for line in each]


def test_hooks_are_called_after_each_step_and_epoch():
    events = Events()
    run(Data(), Progress(), 2, events)
    assert events.events == [
        *[("step", 0, place, place + 1) for place in range(BATCHES)],
        ("epoch", 0, 2, 3),
        *[("step", 1, place, place + 4) for place in range(BATCHES)],
        ("epoch", 1, 2, 6),
    ]


def test_an_epoch_that_ended_before_resuming_has_no_mean(caplog):
    """Not NaN, which would look as if the run had diverged."""
    caplog.set_level(logging.INFO)
    assert len(run(Data(left=0), Progress(epoch=0, nbatch=BATCHES - 1, step=BATCHES), 2)) == BATCHES
    assert "nan" not in caplog.text
    assert "Epoch[1] Train-acc=1.000000" in caplog.messages


def test_a_stop_while_the_data_prepares_an_epoch_ends_before_that_epoch():
    class Stopped(Data):
        def reset(self):
            raise StopRequested

    progress = Progress()
    metric = mx.metric.CompositeEvalMetric([AccMetric(), CrossEntropyMetric()])
    assert fit(Trainer(), Stopped(), metric, Schedule(0.1, [4], BATCHES, 5), Hook(), progress)
    assert (progress.epoch, progress.nbatch, progress.step) == (0, BATCHES - 1, BATCHES)
