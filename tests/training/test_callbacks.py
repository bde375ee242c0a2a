"""The lines of a training log, and when a checkpoint is written."""

import logging
import re

import pytest

from src.common.mxnet_backend import mx
from src.training.callbacks import (
    BetaLine,
    CheckpointRule,
    Milestones,
    RateFall,
    RateLine,
    SpeedLine,
)
from src.training.fit import Progress
from src.training.metrics import LossValueMetric
from src.training.schedule import Annealing, Schedule


def run_through(callback, epochs, batches, metric=None):
    progress = Progress(eval_metric=metric)
    for progress.epoch in range(epochs):
        for progress.nbatch in range(batches):
            progress.step += 1
            if metric:
                metric.metrics[0].add(1.0, 1)
            callback(progress)


def speed_lines(caplog, epochs, batches, last_step=1000):
    caplog.set_level(logging.INFO)
    metric = mx.metric.CompositeEvalMetric([LossValueMetric()])
    run_through(SpeedLine(32, last_step, lambda: 0.0), epochs, batches, metric)
    return [message for message in caplog.messages if "Speed" in message]


def test_speed_lines_have_the_form_of_2018_and_more_behind(caplog):
    lines = speed_lines(caplog, 2, 45)
    form = (
        r"Epoch\[%d\] Batch \[%d\]\tSpeed: \d+\.\d\d samples/sec"
        r"\tlossvalue=1\.000000\tdata-wait=0\.0%%"
    )
    for line, place in zip(lines, [(0, 20), (0, 40), (1, 20), (1, 40)], strict=True):
        assert re.fullmatch(form % place, line)
    assert caplog.records[0].name == "root"
    assert any("979 batches to go" in message for message in caplog.messages)


def test_epochs_shorter_than_the_interval_are_counted_through(caplog):
    lines = speed_lines(caplog, 10, 6)
    places = [re.match(r"Epoch\[(\d)\] Batch \[(\d)\]", line).groups() for line in lines]
    assert places == [("3", "2"), ("6", "4")]


def test_no_eta_for_a_run_without_an_end(caplog):
    speed_lines(caplog, 1, 21, last_step=float("inf"))
    assert not any("to go" in message for message in caplog.messages)


def test_lines_of_the_learning_rate(capsys):
    schedule = Schedule(0.1, [1500], 700, 3)
    fall, line = RateFall(schedule), RateLine(schedule)
    run_through(lambda progress: (fall(progress), line(progress)), 3, 700)
    assert capsys.readouterr().out.splitlines() == [
        "lr-batch-epoch: 0.1 299 1",
        "lr change to 0.01",
        "lr-batch-epoch: 0.01 599 2",
    ]


def test_beta_is_logged_when_it_has_halved_and_where_it_ends(caplog):
    caplog.set_level(logging.INFO)
    run_through(BetaLine(Schedule(0.1, [], 30, 1)), 1, 30)
    assert not caplog.messages  # another loss
    annealing = Annealing(100.0, 20.0, 2, 1.0, 1.0)
    run_through(BetaLine(Schedule(0.1, [], 30, 1, annealing=annealing)), 1, 30)
    assert caplog.messages == [
        "beta 100 from batch 2 on",
        "beta 50 from batch 4 on",
        "beta 25 from batch 6 on",
        "beta 20 from batch 7 on",
    ]


@pytest.mark.parametrize(
    ("ckpt", "results", "expected"),
    [
        (0, [[0.999, 0.999]], [False]),
        (2, [[], [0.1]], [True, True]),
        (1, [[]], [False]),
        (1, [[0.999, 0.5], [0.999, 0.4], [0.9991, 0.4]], [True, False, True]),
        (1, [[0.998, 0.0]], [False]),
        (1, [[0.99, 0.5], [0.98, 0.6], [0.99, 0.6], [0.99, 0.7]], [True, False, False, True]),
        (1, [[0.995], [0.995], [0.996]], [True, False, True]),
    ],
)
def test_when_a_checkpoint_is_worth_it(ckpt, results, expected):
    rule = CheckpointRule(ckpt)
    assert [rule(accuracies) for accuracies in results] == expected


class Recorder:
    """Takes the place of the model and of the file of the state."""

    def __init__(self, ckpt, results, every=10):
        self.results = iter(results)
        self.saved, self.states = [], []
        self.milestones = Milestones(
            every,
            lambda step: next(self.results),
            CheckpointRule(ckpt),
            self.saved.append,
            lambda progress, state: self.states.append((progress.step, state)),
        )

    def run(self, steps):
        run_through(self.milestones, 1, steps)
        self.milestones.finish(Progress(step=steps))
        return self.saved


def test_checkpoints_bear_the_number_of_the_verification(capsys):
    recorder = Recorder(1, [[0.9], [0.995], [0.992], [0.996]])
    assert recorder.run(40) == [2, 4]
    assert capsys.readouterr().out.splitlines() == [
        "[10]Accuracy-Highest: 0.90000",
        "saving 2",
        "[20]Accuracy-Highest: 0.99500",
        "[30]Accuracy-Highest: 0.99500",
        "saving 4",
        "[40]Accuracy-Highest: 0.99600",
    ]
    assert [step for step, _ in recorder.states] == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("ckpt", "results", "steps", "expected"),
    [
        (2, [[], []], 15, [1, 2]),
        (2, [[]], 10, [1]),  # not twice
        (2, [[]], 5, [1]),
        (1, [[]], 5, [1]),  # no target at all
        (1, [[0.5]], 5, [1]),
        (1, [[0.5]], 10, [1]),
        (1, [[0.995], [0.9]], 15, [1, 2]),
        (0, [[0.999], [0.999]], 15, []),
    ],
)
def test_the_end_loses_no_trained_model(ckpt, results, steps, expected):
    recorder = Recorder(ckpt, results)
    assert recorder.run(steps) == expected
    assert bool(recorder.states) == (ckpt > 0)


def test_nothing_is_saved_before_the_first_batch():
    assert Recorder(2, []).run(0) == []


def test_milestones_go_on_where_others_were():
    first = Recorder(1, [[0.995], [0.996]])
    run_through(first.milestones, 1, 10)
    second = Recorder(1, [[0.9951], [0.9952]])
    second.milestones.restore(first.states[-1][1])
    assert second.run(20) == [2, 3]
