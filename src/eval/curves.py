"""Results over all pairs of a verification set, without folds: ROC, best threshold, TAR at FAR."""

from collections.abc import Iterable

import numpy as np

from src.common.errors import InputError
from src.eval.folds import IsSame
from src.eval.roc import ACCURACY_THRESHOLDS, pair_distances

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)


def roc_points(embeddings: np.ndarray, issame: IsSame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of the ROC curve over all pairs: (fpr, tpr, thresholds), each (K,).

    Parameters
    ----------
    embeddings
        (2P, D), L2-normalised.
    issame
        P booleans, with both values.

    Returns
    -------
    fpr, tpr
        Ascending from (0, 0) to (1, 1), without the points on a straight line between others.
    thresholds
        At point k, a pair is accepted if its squared distance is at most this; -1 at (0, 0).

    Raises
    ------
    InputError
        All pairs are of one kind, or there are not two embeddings for each.
    """
    dist, same = _distances(embeddings, issame)
    levels, place = np.unique(dist, return_inverse=True)
    same_at = np.bincount(place, weights=same, minlength=len(levels))
    different_at = np.bincount(place, weights=~same, minlength=len(levels))
    accepted_same = np.concatenate(([0], np.cumsum(same_at)))
    accepted_different = np.concatenate(([0], np.cumsum(different_at)))
    thresholds = np.concatenate(([-1], levels))
    right, up = np.diff(accepted_different), np.diff(accepted_same)
    turns = right[:-1] * up[1:] != right[1:] * up[:-1]
    corner = np.concatenate(([True], turns, [True]))
    return (
        accepted_different[corner] / accepted_different[-1],
        accepted_same[corner] / accepted_same[-1],
        thresholds[corner],
    )


def area_under_curve(fpr: np.ndarray, tpr: np.ndarray) -> float:
    """Area under a ROC curve given by its corners: 1 for a perfect model, 0.5 for guessing."""
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)


def equal_error_rate(fpr: np.ndarray, tpr: np.ndarray) -> float:
    """Where as many different pairs are accepted as same pairs are rejected, on the ROC curve.

    Between two corners it is on the straight line between them.
    """
    excess = fpr - (1 - tpr)  # ascends from -1 to 1
    after = int(np.argmax(excess >= 0))
    before = after - 1
    share = -excess[before] / (excess[after] - excess[before])
    return float(fpr[before] + share * (fpr[after] - fpr[before]))


def best_threshold(embeddings: np.ndarray, issame: IsSame) -> tuple[float, float]:
    """(threshold, accuracy) over all pairs: the lowest of the best from 0 to 4 in steps of 0.01."""
    dist, same = _distances(embeddings, issame)
    right = [np.mean(np.less(dist, threshold) == same) for threshold in ACCURACY_THRESHOLDS]
    best = int(np.argmax(right))
    return float(ACCURACY_THRESHOLDS[best]), float(right[best])


def accept_rates(
    embeddings: np.ndarray, issame: IsSame, false_accept_rates: Iterable[float] = FALSE_ACCEPT_RATES
) -> list[dict[str, float]]:
    """True accept rates at given false accept rates, over all pairs.

    Parameters
    ----------
    embeddings
        (2P, D), L2-normalised.

    Returns
    -------
    rates
        Each with `far`, `tar` and `threshold`: the largest threshold (pairs below it are accepted)
        at which at most that share of the different pairs is accepted. With n different pairs,
        rates below 1 / n cannot be measured and are left out.

    Raises
    ------
    InputError
        As for `roc_points`.
    """
    dist, same = _distances(embeddings, issame)
    return [
        {"far": far, "tar": float(np.mean(dist[same] < threshold)), "threshold": threshold}
        for far, threshold in rate_thresholds(dist[~same], false_accept_rates)
    ]


def rate_thresholds(distances: np.ndarray, rates: Iterable[float]) -> list[tuple[float, float]]:
    """(rate, largest threshold below which at most that share of the distances is) for each rate.

    Rates below 1 / n, with n distances, cannot be measured and are left out.

    Parameters
    ----------
    distances
        (n,)
    """
    ordered = np.sort(distances)
    found = []
    for rate in rates:
        allowed = int(rate * len(ordered) + 1e-9)
        if allowed:
            threshold = float(ordered[allowed]) if allowed < len(ordered) else np.inf
            found.append((rate, threshold))
    return found


def _distances(embeddings: np.ndarray, issame: IsSame) -> tuple[np.ndarray, np.ndarray]:
    """(squared distances (P,), whether the pairs are the same, bool (P,))."""
    same = np.asarray(issame, bool)
    if len(embeddings) != 2 * len(same) or same.all() or not same.any():
        raise InputError(
            "a ROC curve needs both same and different pairs, and two embeddings per pair; got "
            f"{np.count_nonzero(same)} same pairs, {np.count_nonzero(~same)} different pairs and "
            f"{len(embeddings)} embeddings"
        )
    return pair_distances(embeddings[0::2], embeddings[1::2]), same
