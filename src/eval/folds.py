"""Pairs divided into folds: a threshold is chosen on some and measured on another."""

from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.model_selection import KFold

from src.common.errors import InputError

IndexList = Sequence[int] | np.ndarray
IsSame = Sequence[bool] | np.ndarray
"""P booleans: whether each pair shows the same person."""


class LFold:
    """Divides pairs into folds; a single fold is used for both training and testing."""

    def __init__(self, n_splits: int = 2, shuffle: bool = False) -> None:
        self.n_splits = n_splits
        if n_splits > 1:
            self.k_fold = KFold(n_splits=n_splits, shuffle=shuffle)

    def split(self, indices: IndexList) -> Iterable[tuple[IndexList, IndexList]]:
        """(training indices, test indices) of each fold.

        Raises
        ------
        InputError
            There are fewer pairs than folds.
        """
        if self.n_splits <= 1:
            return [(indices, indices)]
        if len(indices) < self.n_splits:
            raise InputError(
                f"{len(indices)} pairs cannot be divided into {self.n_splits} folds; use a smaller "
                "--nfolds"
            )
        return self.k_fold.split(indices)


def check_folds(issame: IsSame, nrof_folds: int, name: str = "the set") -> None:
    """InputError if a fold has only one kind of pair, so that its rates are undefined.

    Parameters
    ----------
    name
        Of the set, for the message.
    """
    issame = np.asarray(issame, bool)
    folds = LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(len(issame)))
    for number, (_, test_set) in enumerate(folds, start=1):
        same = np.count_nonzero(issame[test_set])
        if same in (0, len(test_set)):
            kind = "different" if same == 0 else "same"
            raise InputError(
                f"{name}: fold {number} of {nrof_folds} has only {kind} pairs, but a validation "
                "rate needs both kinds in each fold; repack the set with src.data.lfw2pack, which "
                "spreads them over the folds, or use a smaller --nfolds (1 for a single fold)"
            )
