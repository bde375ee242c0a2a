"""What happens between two batches: lines of the log, verification, checkpoints."""

import datetime
import logging
import math
import time

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"

SPEED_EVERY = 20
RATE_EVERY = 1000


class SpeedLine:
    """Logs images/s, the metrics since its last line, and the share of time spent on waiting.

    2018: every 20 batches of an epoch, counted from its first. Epochs shorter than that, in which
    2018 logged nothing, are counted through.

    Parameters
    ----------
    batch_size : int
    last_step : int or inf
        Of the run; after its first line it says once how long that will take.
    wait_seconds : callable
        Time spent waiting for data so far, in all.
    """

    def __init__(self, batch_size, last_step, wait_seconds):
        self.batch_size = batch_size
        self.last_step = last_step
        self.wait_seconds = wait_seconds
        self.began_at = None
        self.epoch_had_line = True
        self.said_eta = False

    def __call__(self, progress):
        if self.began_at is None or (progress.nbatch == 0 and self.epoch_had_line):
            if self.began_at is not None:
                progress.eval_metric.reset_local()
            self.epoch_had_line = False
            self._start(progress)
        elif progress.nbatch and (
            progress.nbatch % SPEED_EVERY == 0 or progress.step - self.began_at >= SPEED_EVERY
        ):
            self._print(progress, progress.step - self.began_at)
            self.epoch_had_line = progress.nbatch >= SPEED_EVERY
            self._start(progress)

    def _start(self, progress):
        self.began_at, self.began = progress.step, time.perf_counter()
        self.waited = self.wait_seconds()

    def _print(self, progress, batches):
        seconds = max(time.perf_counter() - self.began, 1e-9)
        waited = 100 * (self.wait_seconds() - self.waited) / seconds
        metrics = "".join(f"\t{n}={v:.6f}" for n, v in progress.eval_metric.get_name_value())
        progress.eval_metric.reset_local()
        log.info(
            "Epoch[%d] Batch [%d]\tSpeed: %.2f samples/sec%s\tdata-wait=%.1f%%",
            progress.epoch,
            progress.nbatch,
            batches * self.batch_size / seconds,
            metrics,
            waited,
        )
        if not self.said_eta and math.isfinite(self.last_step):
            self.said_eta = True
            to_go = self.last_step - progress.step
            left = datetime.timedelta(seconds=round(to_go * seconds / batches))
            log.info("%d batches to go: at this speed %s, beside verification", to_go, left)


class RateFall:
    """Prints the learning rate when it falls."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, progress):
        if self.schedule.falls_after(progress.step):
            print(f"lr change to {self.schedule.rate(progress.step + 1):.12g}")


class RateLine:
    """Prints the learning rate now and then."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, progress):
        if progress.step % RATE_EVERY == 0:
            rate = self.schedule.rate(progress.step + 1)
            print(f"lr-batch-epoch: {rate:.12g} {progress.nbatch} {progress.epoch}")


class BetaLine:
    """Logs SphereFace's beta, whenever it has fallen to half of what was logged last."""

    def __init__(self, schedule):
        self.schedule = schedule
        self.said = None

    def __call__(self, progress):
        beta = self.schedule.beta(progress.step + 1)
        if beta is None:
            return
        ends = beta == self.schedule.annealing.minimum != self.said
        if self.said is None or beta <= self.said / 2 or ends:
            log.info("beta %.6g from batch %d on", beta, progress.step + 1)
            self.said = beta


class CheckpointRule:
    """Whether a verification's result is worth a checkpoint.

    Parameters
    ----------
    ckpt : {0, 1, 2}
        Never; when good; always. Good is a new best of the first target above 0.998, or a new best
        of the last target with the first from 0.99 on.

    Attributes
    ----------
    highest : [float, float]
        Best accuracy so far of the first and of the last target.
    """

    GOOD_FIRST = 0.998
    GOOD_ENOUGH_FIRST = 0.99

    def __init__(self, ckpt):
        self.ckpt = ckpt
        self.highest = [0.0, 0.0]

    def __call__(self, accuracies):
        """Takes the targets' accuracies, none of them if there is no target."""
        good = False
        if accuracies:
            first, last = accuracies[0], accuracies[-1]
            good = first > max(self.highest[0], self.GOOD_FIRST)
            good |= last > self.highest[1] and first >= self.GOOD_ENOUGH_FIRST
            self.highest = [max(first, self.highest[0]), max(last, self.highest[1])]
        return self.ckpt == 2 or (self.ckpt == 1 and good)


class Milestones:
    """Verification and checkpoints, every so many batches and at the end.

    Parameters
    ----------
    every : int
        Batches.
    verify : callable
        From a batch number to the targets' accuracies; prints them.
    rule : CheckpointRule
    save : callable
        Writes the checkpoint of the given number.
    save_state : callable
        Writes the run's state, from the progress and `state()`.

    Attributes
    ----------
    count : int
        2018: the number of verifications so far, which numbers the checkpoints.
    saved_at, saved_number : int
        Batch and number of the last checkpoint; 0 before the first.
    """

    REMEMBERED = ("count", "saved_at", "saved_number", "passed_at")

    def __init__(self, every, verify, rule, save, save_state):
        self.every, self.verify, self.rule = every, verify, rule
        self.save, self.save_state = save, save_state
        self.count = 0
        self.saved_at = self.saved_number = self.passed_at = 0

    def __call__(self, progress):
        if progress.step % self.every == 0:
            self.pass_by(progress)

    def pass_by(self, progress, must_save=False):
        """Verifies, and saves if the rule or `must_save` says so."""
        accuracies = self.verify(progress.step)
        self.count += 1
        self.passed_at = progress.step
        if self.rule(accuracies) or must_save:
            self._save(progress)
        print(f"[{progress.step}]Accuracy-Highest: {self.rule.highest[1]:1.5f}")
        if self.rule.ckpt:
            self.save_state(progress, self.state())

    def finish(self, progress):
        """At the end of a run: no trained model is lost unless `--ckpt 0` asks for it."""
        if progress.step == self.passed_at:
            if self.rule.ckpt and self.saved_at < progress.step:
                self._save(progress)
                self.save_state(progress, self.state())
        elif progress.step:
            self.pass_by(progress, must_save=self.rule.ckpt > 0)

    def _save(self, progress):
        print("saving", self.count)
        self.save(self.count)
        self.saved_at, self.saved_number = progress.step, self.count

    def state(self):
        """What `restore` needs, as plain numbers."""
        own = {name: getattr(self, name) for name in self.REMEMBERED}
        return {**own, "highest": self.rule.highest}

    def restore(self, state):
        """Goes on where the one that gave `state` was."""
        for name in self.REMEMBERED:
            setattr(self, name, state[name])
        self.rule.highest = list(state["highest"])
