"""Hooks: actions after each batch, after each epoch, and at the end of a run.

A hook is an object with the methods of `Hook`, or a subclass that overrides some of them.
CONTRIBUTING shows one that logs gradient norms.
"""

import datetime
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.common.mxnet_backend import mx
from src.losses.base import Loss
from src.training.schedule import Schedule
from src.training.stopping import Diverged
from src.training.trainer import Trainer

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"

SPEED_EVERY = 20
RATE_EVERY = 1000


@dataclass
class Progress:
    """How far a run is; also what MXNet's own batch callbacks expect.

    `step` counts batches from 1 through the run, `nbatch` from 0 within the epoch. `eval_metric`
    has the means since the last speed line, and those of the epoch (`get_global_name_value`).
    """

    epoch: int = 0
    nbatch: int = -1
    step: int = 0
    eval_metric: mx.metric.CompositeEvalMetric | None = None


class Hook:
    """The methods of a hook; by default they do nothing."""

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Called after each batch, when its update is done."""

    def after_epoch(self, trainer: Trainer, progress: Progress) -> None:
        """Called after the last batch of an epoch, unless the run ends with that batch."""

    def finish(self, trainer: Trainer, progress: Progress) -> None:
        """Called at the end of a run, unless a signal or a divergence ended it."""


class FiniteLoss(Hook):
    """Stops a run whose loss is NaN or infinite."""

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Raises `Diverged`, which names the batch and what is not finite."""
        loss = dict(_metric_of(progress).get_name_value())["lossvalue"]
        if math.isfinite(loss):
            return
        raise Diverged(
            f"batch {progress.step}: the loss is {loss}; outputs that are not finite: "
            f"{', '.join(trainer.non_finite_outputs()) or 'none'}; parameters that are not finite "
            f"after the update: {', '.join(trainer.non_finite()[:6]) or 'none'}"
        )


class SpeedLine(Hook):
    """Logs images/s, the metrics since the last line, gradient norm and share of time waiting.

    The metrics are means since the last line; the gradient norm is that of the last batch.

    2018: every 20 batches of an epoch, counted from its first batch. Shorter epochs, for which 2018
    logged nothing, are counted together.

    Parameters
    ----------
    batch_size
    last_step
        Last batch of the run; after the first line, the remaining time is estimated.
    wait_seconds
        Returns the total time spent waiting for data so far.
    """

    def __init__(
        self, batch_size: int, last_step: float, wait_seconds: Callable[[], float]
    ) -> None:
        self.batch_size = batch_size
        self.last_step = last_step
        self.wait_seconds = wait_seconds
        self.started_at: int | None = None
        self.epoch_had_line = True
        self.previous_nbatch = -1
        self.eta_logged = False

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Logs a line when it is due."""
        # An epoch of one batch has no other place for a line than its first batch.
        may_log = progress.nbatch > 0 or self.previous_nbatch == 0
        self.previous_nbatch = progress.nbatch
        if self.started_at is None or (progress.nbatch == 0 and self.epoch_had_line):
            if self.started_at is not None:
                _metric_of(progress).reset_local()
            self.epoch_had_line = False
            self._start(progress)
        elif may_log and (
            (progress.nbatch and progress.nbatch % SPEED_EVERY == 0)
            or progress.step - self.started_at >= SPEED_EVERY
        ):
            self._log(trainer, progress, progress.step - self.started_at)
            self.epoch_had_line = progress.nbatch >= SPEED_EVERY
            self._start(progress)

    def _start(self, progress: Progress) -> None:
        self.started_at, self.started = progress.step, time.perf_counter()
        self.waited = self.wait_seconds()

    def _log(self, trainer: Trainer, progress: Progress, batches: int) -> None:
        seconds = max(time.perf_counter() - self.started, 1e-9)
        waited = 100 * (self.wait_seconds() - self.waited) / seconds
        metric = _metric_of(progress)
        metrics = "".join(f"\t{name}={value:.6f}" for name, value in metric.get_name_value())
        metric.reset_local()
        log.info(
            "Epoch[%d] Batch [%d]\tSpeed: %.2f samples/sec%s\tgrad-norm=%.4g\tdata-wait=%.1f%%",
            progress.epoch,
            progress.nbatch,
            batches * self.batch_size / seconds,
            metrics,
            trainer.gradient_norm(),
            waited,
        )
        if not self.eta_logged and math.isfinite(self.last_step):
            self.eta_logged = True
            remaining = int(self.last_step) - progress.step
            eta = datetime.timedelta(seconds=round(remaining * seconds / batches))
            log.info("%d batches remaining: %s at this speed, without verification", remaining, eta)


class RemainingTime(Hook):
    """Logs after each verification how much longer the run will take, verification included.

    Parameters
    ----------
    last_step
        Last batch of the run; nothing is logged if it is infinite.
    every
        Number of batches between verifications.
    """

    def __init__(self, last_step: float, every: int) -> None:
        self.last_step, self.every = last_step, every
        self.started_at: int | None = None

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Logs a line when it is due; called after the verification."""
        if self.started_at is None:  # the first batch, which prepares everything, is not counted
            self.started_at, self.started = progress.step, time.perf_counter()
        elif progress.step % self.every == 0 and progress.step < self.last_step < math.inf:
            done = progress.step - self.started_at
            seconds = (time.perf_counter() - self.started) / done
            remaining = seconds * (self.last_step - progress.step)
            log.info(
                "batch %d of %d: %s remaining, with verification",
                progress.step,
                self.last_step,
                datetime.timedelta(seconds=round(remaining)),
            )


def _metric_of(progress: Progress) -> mx.metric.CompositeEvalMetric:
    assert progress.eval_metric is not None  # `fit` sets it
    return progress.eval_metric


class RateChange(Hook):
    """Prints the learning rate when it changes."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Prints 2018's line."""
        if self.schedule.changes_after(progress.step):
            print(f"lr change to {self.schedule.rate(progress.step + 1):.12g}")


class RateLine(Hook):
    """Prints the learning rate every 1000 batches."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Prints 2018's line."""
        if progress.step % RATE_EVERY == 0:
            rate = self.schedule.rate(progress.step + 1)
            print(f"lr-batch-epoch: {rate:.12g} {progress.nbatch} {progress.epoch}")


class StepValueLine(Hook):
    """Logs each step value of a loss when it has halved, and when it reaches its final value.

    An example is SphereFace's beta; `fc7_beta` is logged as `beta`.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.logged: dict[str, float] = {}

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Logs the values of the next batch."""
        for name, value in self.loss.step_values(progress.step + 1).items():
            last = self.logged.get(name)
            settled = value == self.loss.step_values(2**62)[name]
            if last is None or (value != last and (value <= last / 2 or settled)):
                short = name.removeprefix("fc7_")
                log.info("%s %.6g from batch %d on", short, value, progress.step + 1)
                self.logged[name] = value


class Hooks(Hook):
    """Several hooks as one, called in their order."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self.hooks = hooks

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Calls each hook."""
        for hook in self.hooks:
            hook.after_step(trainer, progress)

    def after_epoch(self, trainer: Trainer, progress: Progress) -> None:
        """Calls each hook."""
        for hook in self.hooks:
            hook.after_epoch(trainer, progress)

    def finish(self, trainer: Trainer, progress: Progress) -> None:
        """Calls each hook."""
        for hook in self.hooks:
            hook.finish(trainer, progress)
