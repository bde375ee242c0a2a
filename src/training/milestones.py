"""Verification and checkpoints during a run, and the rule for when to save a checkpoint."""

from collections.abc import Callable
from typing import Any

from src.training.hooks import Hook, Progress
from src.training.trainer import Trainer


class CheckpointRule:
    """Whether the result of a verification is worth a checkpoint.

    Parameters
    ----------
    ckpt
        0 never, 1 when good, 2 always. Good means a new best of the first target above 0.998, or a
        new best of the last target with the first at 0.99 or more.

    Attributes
    ----------
    highest
        Best accuracy so far of the first and of the last target.
    """

    GOOD_FIRST = 0.998
    GOOD_ENOUGH_FIRST = 0.99

    def __init__(self, ckpt: int) -> None:
        self.ckpt = ckpt
        self.highest = [0.0, 0.0]

    def __call__(self, accuracies: list[float]) -> bool:
        """Takes the accuracies of the targets; an empty list if there are none."""
        good = False
        if accuracies:
            first, last = accuracies[0], accuracies[-1]
            good = first > max(self.highest[0], self.GOOD_FIRST)
            good |= last > self.highest[1] and first >= self.GOOD_ENOUGH_FIRST
            self.highest = [max(first, self.highest[0]), max(last, self.highest[1])]
        return self.ckpt == 2 or (self.ckpt == 1 and good)


class Milestones(Hook):
    """Verifies, and saves checkpoints and the run's state, at regular steps and at the end.

    Parameters
    ----------
    every
        Number of batches between verifications.
    verify
        Takes the trainer and a batch number; prints and returns the accuracies of the targets.
    rule
    save
        Takes the trainer and a number; writes that checkpoint.
    save_state
        Takes the trainer, the progress and `state()`; writes the state of the run.
    is_saved
        Takes a number; whether that checkpoint exists.

    Attributes
    ----------
    count
        2018: the number of verifications so far, which is the number of the checkpoint.
    saved_at, saved_number
        Batch and number of the last checkpoint; 0 before the first.
    best_number, best_accuracy
        Number of the checkpoint with the best accuracy of the last target; 0 without targets.
    """

    REMEMBERED = (
        *("count", "saved_at", "saved_number", "passed_at"),
        *("best_number", "best_at", "best_accuracy"),
    )

    def __init__(
        self,
        every: int,
        verify: Callable[[Trainer, int], list[float]],
        rule: CheckpointRule,
        save: Callable[[Trainer, int], Any],
        save_state: Callable[[Trainer, Progress, dict[str, Any]], None],
        is_saved: Callable[[int], bool],
    ) -> None:
        self.every, self.verify, self.rule = every, verify, rule
        self.save, self.save_state, self.is_saved = save, save_state, is_saved
        self.count = 0
        self.saved_at = self.saved_number = self.passed_at = 0
        self.best_number = self.best_at = 0
        self.best_accuracy = 0.0

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Verifies and saves when it is due."""
        if progress.step % self.every == 0:
            self.verify_and_save(trainer, progress)

    def verify_and_save(
        self, trainer: Trainer, progress: Progress, must_save: bool = False
    ) -> None:
        """Verifies, and saves if the rule or `must_save` requires it."""
        accuracies = self.verify(trainer, progress.step)
        self.count += 1
        self.passed_at = progress.step
        if self.rule(accuracies) or must_save:
            if accuracies and accuracies[-1] > self.best_accuracy:
                self.best_number, self.best_at = self.count, progress.step
                self.best_accuracy = accuracies[-1]
            self._save(trainer, progress)
        elif self.rule.ckpt:
            self.save_state(trainer, progress, self.state())
        print(f"[{progress.step}]Accuracy-Highest: {self.rule.highest[1]:1.5f}")

    def finish(self, trainer: Trainer, progress: Progress) -> None:
        """Verifies and saves the final model, if not done yet; `--ckpt 0` saves nothing."""
        if progress.step == self.passed_at:
            if self.rule.ckpt and self.saved_at < progress.step:
                self._save(trainer, progress)
        elif progress.step:
            self.verify_and_save(trainer, progress, must_save=self.rule.ckpt > 0)

    def _save(self, trainer: Trainer, progress: Progress) -> None:
        """Writes the state, then the checkpoint.

        After a kill between them `write_missing` writes the checkpoint. The other way round there
        would be a checkpoint without a state, as from another run.
        """
        print("saving", self.count)
        self.saved_at, self.saved_number = progress.step, self.count
        self.save_state(trainer, progress, self.state())
        self.save(trainer, self.count)

    def write_missing(self, trainer: Trainer, progress: Progress) -> None:
        """After `restore`: writes the checkpoint that belongs to the state, if a kill prevented it.

        The trainer has the parameters of the state.
        """
        is_due = progress.step > 0 and progress.step == self.saved_at
        if is_due and not self.is_saved(self.saved_number):
            self.save(trainer, self.saved_number)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as plain numbers."""
        own = {name: getattr(self, name) for name in self.REMEMBERED}
        return {**own, "highest": self.rule.highest}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where the hook that returned `state` was."""
        for name in self.REMEMBERED:
            # a state of an earlier version does not know the best checkpoint
            setattr(self, name, state.get(name, 0) if "best" in name else state[name])
        self.rule.highest = list(state["highest"])
