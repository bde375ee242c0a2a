"""Verification during training."""

import logging
import os
from collections.abc import Sequence

from src.common.errors import InputError
from src.eval.figures import measure
from src.eval.folds import check_folds
from src.eval.pairs import VerificationSet, load_pairs
from src.training.run_settings import Verify
from src.training.stopping import Diverged
from src.training.trainer import Trainer

log = logging.getLogger(__name__)

FOLDS = 10  # of a verification set, if it has that many pairs

Target = tuple[str, VerificationSet]
"""A verification set and its name."""


def load_targets(data_dir: str, target: str, image_size: Sequence[int]) -> list[Target]:
    """The verification sets of the `--target` list; those without a file are skipped."""
    found: list[Target] = []
    missing = []
    for name in filter(None, (part.strip() for part in target.split(","))):
        path = os.path.join(data_dir, f"{name}.bin")
        if os.path.exists(path):
            data_set = load_pairs(path, image_size)
            check_kinds(data_set[1], path)
            found.append((name, data_set))
            print("ver", name)
        else:
            missing.append(f"{name}.bin")
    if missing:
        log.warning("missing in %s, skipped: %s", data_dir, ", ".join(missing))
    return found


def check_kinds(issame: Sequence[bool], path: str) -> None:
    """InputError if a fold has only one kind of pair, so that accuracies would be meaningless.

    A set with fewer pairs of a kind than folds cannot be repacked any better, and is accepted.
    """
    folds = min(FOLDS, len(issame))
    fewest = min(sum(issame), len(issame) - sum(issame))
    if fewest == 0 or fewest >= folds:
        check_folds(issame, folds, path)


class Verifier:
    """Verifies all targets, and prints 2018's lines.

    Parameters
    ----------
    targets
    batch_size
        The trainer's batch size.
    """

    def __init__(self, targets: list[Target], batch_size: int) -> None:
        self.targets = targets
        self.batch_size = batch_size

    def __call__(self, trainer: Trainer, step: int) -> list[float]:
        """The accuracies of the targets after the given batch."""
        accuracies = []
        for name, data_set in self.targets:
            folds = min(FOLDS, len(data_set[1]))
            result = measure(data_set, trainer.module, self.batch_size, folds)
            accuracy, deviation = result.accuracy_flip
            print(f"[{name}][{step}]XNorm: {result.xnorm:f}")
            print(f"[{name}][{step}]Accuracy-Flip: {accuracy:1.5f}+-{deviation:1.5f}")
            accuracies.append(accuracy)
        return accuracies


def checked(trainer: Trainer, step: int, verify: Verify) -> list[float]:
    """What `verify` returns; `Diverged` if parameters or embeddings are not finite.

    The devices get the same statistics, so what is verified is what a checkpoint contains. The
    first worker verifies.
    """
    trainer.average_statistics()
    broken = trainer.non_finite()

    def outcome() -> tuple[list[float], str]:
        if broken:
            return [], f"these parameters are not finite: {', '.join(broken[:6])}"
        try:
            return verify(trainer, step), ""
        except InputError as error:  # the sets were checked when they were read
            return [], str(error)

    accuracies, reason = trainer.workers.from_first(outcome)
    if reason:
        raise Diverged(f"batch {step}: {reason}")
    return accuracies
