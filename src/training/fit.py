"""The loop over batches."""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from src.common.errors import NoMoreData, StopRequested
from src.common.mxnet_backend import mx
from src.training.hooks import Hook, Progress
from src.training.schedule import Schedule
from src.training.stopping import stop_on_signals
from src.training.trainer import Trainer

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"


class TrainingData(Protocol):
    """What the loop needs from an iterator.

    Work of more than a few seconds calls `stop_requested`, and raises `StopRequested` if it is true
    after taking back what it has changed. All workers of a run call it equally often.
    """

    stop_requested: Callable[[], bool]

    def next(self) -> mx.io.DataBatch:
        """The next batch; StopIteration at the end of an epoch."""

    def reset(self) -> None:
        """Starts the next epoch; `NoMoreData` if there is none."""


def fit(
    trainer: Trainer,
    train_data: TrainingData,
    metric: mx.metric.CompositeEvalMetric,
    schedule: Schedule,
    hook: Hook,
    progress: Progress,
) -> bool:
    """Trains until the schedule ends; returns whether a signal stopped it earlier.

    Parameters
    ----------
    trainer
        Bound, and with an optimizer.
    metric
        One of its members is called `lossvalue`.
    progress
        Where to start; changed in place.

    Raises
    ------
    Diverged
        The loss is no longer finite.
    NoMoreData
        There is not enough data for one batch.
    """
    started_at = progress.step
    progress.eval_metric = metric
    with stop_on_signals() as stop:
        train_data.stop_requested = lambda: trainer.workers.any(stop.is_set())
        while progress.epoch < schedule.end_epoch:
            started = time.perf_counter()
            _reset_epoch(metric)
            try:
                if _run_epoch(trainer, train_data, schedule, hook, progress):
                    break
                _log_epoch(progress, metric, time.perf_counter() - started)
                hook.after_epoch(trainer, progress)
                if progress.epoch + 1 < schedule.end_epoch:
                    train_data.reset()
                progress.epoch += 1
                progress.nbatch = -1
            except StopRequested:
                return True  # before the epoch that the data was preparing
            except NoMoreData as reason:
                if progress.step == started_at:
                    raise
                log.warning("training ends here: %s", reason)
                return False
        return train_data.stop_requested()


def _run_epoch(
    trainer: Trainer,
    train_data: TrainingData,
    schedule: Schedule,
    hook: Hook,
    progress: Progress,
) -> bool:
    """Trains one epoch; returns whether the run has ended."""
    limit = schedule.max_steps if schedule.max_steps > 0 else math.inf
    while progress.step < limit:
        try:
            batch = train_data.next()
        except StopIteration:
            return False
        progress.step += 1
        progress.nbatch += 1
        trainer.step(batch, progress.step)
        trainer.update_metric(progress.eval_metric, batch.label)
        hook.after_step(trainer, progress)
        if train_data.stop_requested():
            return True
    return True


def _reset_epoch(metric: mx.metric.CompositeEvalMetric) -> None:
    """Clears the means over the epoch; those since the last speed line continue."""
    for member in metric.metrics:
        member.global_sum_metric = 0.0
        member.global_num_inst = 0


def _log_epoch(progress: Progress, metric: mx.metric.CompositeEvalMetric, seconds: float) -> None:
    for name, value in metric.get_global_name_value():
        if not math.isnan(value):  # as in a resumed epoch that had already ended
            log.info("Epoch[%d] Train-%s=%f", progress.epoch, name, value)
    log.info("Epoch[%d] Time cost=%.3f", progress.epoch, seconds)
