"""The lines of a training log."""

import logging
import re

import pytest

from src.common.mxnet_backend import mx
from src.losses.arcface import ArcFace
from src.losses.metrics import LossValueMetric
from src.losses.sphereface import SphereFace
from src.training.hooks import (
    FiniteLoss,
    Hook,
    Hooks,
    Progress,
    RateChange,
    RateLine,
    RemainingTime,
    SpeedLine,
    StepValueLine,
)
from src.training.schedule import Schedule
from src.training.stopping import Diverged


class Steady:
    """A trainer whose gradient has always the same length."""

    def gradient_norm(self):
        return 2.5


def run_through(hooks, epochs, batches, metric=None):
    progress = Progress(eval_metric=metric)
    for progress.epoch in range(epochs):
        for progress.nbatch in range(batches):
            progress.step += 1
            if metric:
                metric.metrics[0].add(1.0, 1)
            for hook in hooks:
                hook.after_step(Steady(), progress)


def speed_lines(caplog, epochs, batches, last_step=1000):
    caplog.set_level(logging.INFO)
    metric = mx.metric.CompositeEvalMetric([LossValueMetric()])
    run_through([SpeedLine(32, last_step, lambda: 0.0)], epochs, batches, metric)
    return [message for message in caplog.messages if "Speed" in message]


def test_speed_lines_begin_as_in_2018(caplog):
    lines = speed_lines(caplog, 2, 45)
    form = (
        r"Epoch\[%d\] Batch \[%d\]\tSpeed: \d+\.\d\d samples/sec"
        r"\tlossvalue=1\.000000\tgrad-norm=2\.5\tdata-wait=0\.0%%"
    )
    for line, place in zip(lines, [(0, 20), (0, 40), (1, 20), (1, 40)], strict=True):
        assert re.fullmatch(form % place, line)
    assert caplog.records[0].name == "root"
    assert any("979 batches remaining" in message for message in caplog.messages)


def test_epochs_shorter_than_the_interval_are_counted_together(caplog):
    lines = speed_lines(caplog, 10, 6)
    places = [re.match(r"Epoch\[(\d)\] Batch \[(\d)\]", line).groups() for line in lines]
    assert places == [("3", "2"), ("6", "4")]


def test_no_eta_for_a_run_without_an_end(caplog):
    speed_lines(caplog, 1, 21, last_step=float("inf"))
    assert not any("remaining" in message for message in caplog.messages)


def test_the_remaining_time_includes_verification(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = iter(range(0, 1000, 2))  # 2 s a batch
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    run_through([RemainingTime(40, 10)], 1, 40)
    # read at the first batch and at each verification, so 2 s pass between two verifications
    assert caplog.messages == [
        "batch 10 of 40: 0:00:07 remaining, with verification",
        "batch 20 of 40: 0:00:04 remaining, with verification",
        "batch 30 of 40: 0:00:02 remaining, with verification",
    ]
    caplog.clear()
    run_through([RemainingTime(float("inf"), 10)], 1, 40)
    assert caplog.messages == []


def test_lines_of_the_learning_rate(capsys):
    schedule = Schedule(0.1, [1500], 700, 3)
    run_through([RateChange(schedule), RateLine(schedule)], 3, 700)
    assert capsys.readouterr().out.splitlines() == [
        "lr-batch-epoch: 0.1 299 1",
        "lr change to 0.01",
        "lr-batch-epoch: 0.01 599 2",
    ]


def test_beta_is_logged_when_it_has_halved_and_at_its_minimum(caplog):
    caplog.set_level(logging.INFO)
    run_through([StepValueLine(ArcFace())], 1, 30)
    assert not caplog.messages  # another loss
    loss = SphereFace(beta=100.0, beta_min=20.0, beta_freeze=2, gamma=1.0, power=1.0)
    run_through([StepValueLine(loss)], 1, 30)
    assert caplog.messages == [
        "beta 100 from batch 2 on",
        "beta 50 from batch 4 on",
        "beta 25 from batch 6 on",
        "beta 20 from batch 7 on",
    ]


class Broken:
    """A trainer whose last step gave NaN."""

    def non_finite_outputs(self):
        return ["softmax_output"]

    def non_finite(self):
        return [f"w{number}" for number in range(9)]


def test_a_loss_that_is_not_finite_names_the_outputs_and_parameters():
    metric = mx.metric.CompositeEvalMetric([LossValueMetric()])
    metric.update([], [mx.nd.array([1.0])])
    progress = Progress(step=7, eval_metric=metric)
    FiniteLoss().after_step(Broken(), progress)
    metric.update([], [mx.nd.array([float("nan")])])
    with pytest.raises(Diverged, match=r"^batch 7: the loss is nan; .*softmax_output.* w0, .* w5$"):
        FiniteLoss().after_step(Broken(), progress)


def test_epochs_of_one_batch_have_speed_lines_too(caplog):
    lines = speed_lines(caplog, 50, 1)
    assert [line.split("\t")[0] for line in lines] == [
        "Epoch[20] Batch [0]", "Epoch[40] Batch [0]",
    ]  # fmt: skip


def test_a_value_that_is_already_at_its_end_is_logged_once(caplog):
    caplog.set_level(logging.INFO)
    run_through([StepValueLine(SphereFace(beta=0.0, beta_min=0.0))], 1, 30)
    assert caplog.messages == ["beta 0 from batch 2 on"]


def test_several_hooks_are_called_in_their_order():
    called = []

    class Named(Hook):
        def __init__(self, name):
            self.name = name

        def after_step(self, trainer, progress):
            called.append((self.name, "step", trainer, progress))

        def after_epoch(self, trainer, progress):
            called.append((self.name, "epoch", trainer, progress))

        def finish(self, trainer, progress):
            called.append((self.name, "end", trainer, progress))

    hooks = Hooks([Named("a"), Hook(), Named("b")])
    for method in (hooks.after_step, hooks.after_epoch, hooks.finish):
        method("trainer", "progress")
    expected = [(name, event) for event in ("step", "epoch", "end") for name in ("a", "b")]
    assert called == [(*entry, "trainer", "progress") for entry in expected]
