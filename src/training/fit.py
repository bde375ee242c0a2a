"""The loop over batches, and what it needs to be stopped and to go on."""

import logging
import math
import time
from dataclasses import dataclass

from src.training.stopping import Diverged, stop_on_signals
from src.triplet_image_iter import NoTriplets

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"


@dataclass
class Progress:
    """How far a run is; also what MXNet's own callbacks look for.

    `step` counts batches from 1 through the run, `nbatch` from 0 within the epoch.
    """

    epoch: int = 0
    nbatch: int = -1
    step: int = 0
    eval_metric: object = None


def fit(model, train_data, metric, schedule, callbacks, progress):
    """Steps the model until its schedule ends; True if a signal ended it before.

    Parameters
    ----------
    model : TrainingModel
        Bound, its optimizer installed.
    train_data : DataIter
        Gives a batch and a label array each time.
    metric : mx.metric.CompositeEvalMetric
        With a member `lossvalue`.
    schedule : Schedule
    callbacks : list of callable
        Called with `progress` after each batch.
    progress : Progress
        Where to begin; changed in place.

    Raises
    ------
    Diverged
        The loss is no longer finite.
    """
    began_at = progress.step
    progress.eval_metric = metric
    with stop_on_signals() as stop:
        while progress.epoch < schedule.end_epoch:
            began = time.perf_counter()
            _reset_epoch(metric)
            try:
                if _run_epoch(model, train_data, schedule, callbacks, progress, stop):
                    return bool(stop)
                _log_epoch(progress, time.perf_counter() - began)
                progress.epoch += 1
                progress.nbatch = -1
                if progress.epoch < schedule.end_epoch:
                    train_data.reset()
            except NoTriplets as reason:
                if progress.step == began_at:
                    raise
                log.warning("training ends here: %s", reason)
                return False
    return False


def _run_epoch(model, train_data, schedule, callbacks, progress, stop):
    """Goes through one epoch; True where the run ends within it."""
    limit = schedule.max_steps if schedule.max_steps > 0 else math.inf
    while progress.step < limit:
        try:
            batch = train_data.next()
        except StopIteration:
            return False
        progress.step += 1
        progress.nbatch += 1
        model.step(batch, schedule.rate(progress.step), schedule.beta(progress.step))
        model.module.update_metric(progress.eval_metric, batch.label)
        check_finite(model, progress)
        for callback in callbacks:
            callback(progress)
        if stop:
            return True
    return True


def check_finite(model, progress):
    """Raises `Diverged` if the loss is NaN or infinite, naming what is and since which batch."""
    values = dict(progress.eval_metric.get_name_value())
    if math.isfinite(values["lossvalue"]):
        return
    raise Diverged(
        f"batch {progress.step}: the loss is {values['lossvalue']}; not finite are the outputs "
        f"{', '.join(model.non_finite_outputs()) or 'none'}, and after the update the parameters "
        f"{', '.join(model.non_finite()[:6]) or 'none'}"
    )


def _reset_epoch(metric):
    """Empties the means over the epoch; those since the last speed line go on."""
    for member in metric.metrics:
        member.global_sum_metric = 0.0
        member.global_num_inst = 0


def _log_epoch(progress, seconds):
    for name, value in progress.eval_metric.get_global_name_value():
        if not math.isnan(value):  # as where a run goes on behind an epoch's last batch
            log.info("Epoch[%d] Train-%s=%f", progress.epoch, name, value)
    log.info("Epoch[%d] Time cost=%.3f", progress.epoch, seconds)
