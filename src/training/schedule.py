"""The learning rate by batch, and the length of a run."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from src.common.mxnet_backend import mx
from src.losses.base import REFERENCE_BATCH, Loss

DROP = 0.1
POWER = 2  # of the polynomial

STEP, COSINE, POLYNOMIAL = "step", "cosine", "poly"


def learning_rate_steps(text: str, loss: Loss, batch_size: int) -> list[int]:
    """Batch numbers after which the learning rate falls to a tenth.

    Parameters
    ----------
    text
        `--lr-steps`, separated by commas; '' means 2018's steps for that loss.
    batch_size
        Over all devices.
    """
    if text.strip():
        return [int(part) for part in text.split(",")]
    return [int(step * REFERENCE_BATCH / batch_size) for step in loss.lr_steps]


class Schedule(NamedTuple):
    """Learning rate by batch, and the end of a run.

    `batches_per_epoch` is None if epochs differ; `max_steps` 0 means no limit; `delay` shifts all
    steps (2018: by --beta-freeze, whatever the loss). `form` is how the rate falls: at `steps`, or
    steadily to nearly 0 at the end as half a cosine wave or as (1 - x)². Over the first `warmup`
    batches it rises steadily to `base_rate`.
    """

    base_rate: float
    steps: Sequence[int]
    batches_per_epoch: int | None
    end_epoch: int
    max_steps: int = 0
    delay: int = 0
    form: str = STEP
    warmup: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of the given batch; the first is 1."""
        if step <= self.warmup:
            return self.base_rate * step / self.warmup
        if self.form == STEP:
            drops = sum(step > drop + self.delay for drop in self.steps)
            return self.base_rate * DROP**drops
        # 0 for the first batch after the warm-up, and just below 1 for the last
        done = min((step - 1 - self.warmup) / max(self.last_step - self.warmup, 1), 1.0)
        if self.form == COSINE:
            return self.base_rate * (1 + math.cos(math.pi * done)) / 2
        return self.base_rate * (1 - done) ** POWER

    def changes_after(self, step: int) -> bool:
        """Whether the learning rate falls by a step after the given batch."""
        return self.form == STEP and step - self.delay in self.steps

    @property
    def last_step(self) -> float:
        """Number of batches in the run; infinite if only the number of epochs limits it."""
        by_steps = self.max_steps if self.max_steps > 0 else math.inf
        if self.batches_per_epoch is None:
            return by_steps
        return min(by_steps, self.batches_per_epoch * self.end_epoch)


class ScheduledRate(mx.lr_scheduler.LRScheduler):
    """A `Schedule` as the scheduler that an optimizer owns.

    The optimizer counts its updates and asks for the rate itself, so the rate also changes if the
    optimizer was pickled and sent to a parameter server.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(base_lr=schedule.base_rate)
        self.schedule = schedule

    def __call__(self, num_update: int) -> float:
        """Learning rate of the update with that number; the first is 1."""
        return self.schedule.rate(num_update)


def describe(schedule: Schedule, images: int, batch_size: int) -> list[str]:
    """Log lines before the first batch: the length of the run, and when the rate changes.

    Parameters
    ----------
    images
        Number of images in an epoch, or in a bag that triplets are mined from.
    """
    last = schedule.last_step
    lines = [f"batches of {batch_size}; an epoch is the triplets of a bag of {images} images"]
    if schedule.batches_per_epoch is not None:
        batches = schedule.batches_per_epoch
        lines = [f"{images} images, {batches} batches of {batch_size} per epoch"]
    by_steps = last == schedule.max_steps
    end = f"--max-steps {schedule.max_steps}" if by_steps else f"--end-epoch {schedule.end_epoch}"
    if math.isfinite(last) and schedule.batches_per_epoch is not None:
        epochs = last / schedule.batches_per_epoch
        end = f"batch {last} ({epochs:.4g} epochs, {end})"
    lines.append(f"the run ends after {end}")
    return [*lines, *_describe_rate(schedule)]


def _describe_rate(schedule: Schedule) -> list[str]:
    lines, last = [], schedule.last_step
    if schedule.warmup:
        lines.append(f"warm-up: the learning rate rises over {schedule.warmup} batches")
    if schedule.form != STEP:
        wave = "half a cosine wave" if schedule.form == COSINE else f"(1 - x)^{POWER}"
        final = schedule.rate(int(last))
        rate = f"learning rate {schedule.base_rate:g}, falling to {final:.3g} as {wave}"
        return [*lines, rate]
    drops = [step + schedule.delay for step in schedule.steps]
    inside = [step for step in drops if step < last]
    rates = ", ".join(f"{schedule.rate(step + 1):.6g} after batch {step}" for step in inside)
    rate = f"learning rate {schedule.base_rate:g}, {rates or 'constant'}"
    if len(inside) < len(drops):
        later = ", ".join(str(step) for step in drops[len(inside) :])
        rate += f" (not reached: {later})"
    return [*lines, rate]
