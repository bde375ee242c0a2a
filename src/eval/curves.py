"""What a verification set says as a whole, without folds: ROC, best threshold, TAR at FAR."""

import numpy as np

from src.common.errors import InputError
from src.eval.roc import ACCURACY_THRESHOLDS, pair_distances

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)


def roc_points(embeddings, issame):
    """The corners of the ROC curve over all pairs: (fpr, tpr, thresholds), each of shape (K,).

    Parameters
    ----------
    embeddings : ndarray of shape (2P, D)
        L2-normalised.
    issame : sequence of bool, length P
        Both kinds.

    Returns
    -------
    fpr, tpr : ndarray
        Ascending from (0, 0) to (1, 1); points on a straight line between others are left out.
    thresholds : ndarray
        A pair is accepted at point k where its squared distance is at most this; -1 at (0, 0).
    """
    dist, issame = _distances(embeddings, issame)
    levels, place = np.unique(dist, return_inverse=True)
    same_at = np.bincount(place, weights=issame, minlength=len(levels))
    different_at = np.bincount(place, weights=~issame, minlength=len(levels))
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


def area_under(fpr, tpr):
    """Area under a ROC curve given by its corners: 1 is perfect, 0.5 a guess."""
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)


def best_threshold(embeddings, issame):
    """(threshold, accuracy) over all pairs: the lowest of the best of 0 to 4 by 0.01."""
    dist, issame = _distances(embeddings, issame)
    right = [np.mean(np.less(dist, threshold) == issame) for threshold in ACCURACY_THRESHOLDS]
    best = int(np.argmax(right))
    return float(ACCURACY_THRESHOLDS[best]), float(right[best])


def accept_rates(embeddings, issame, false_accept_rates=FALSE_ACCEPT_RATES):
    """True accept rates at given false accept rates, over all pairs.

    Parameters
    ----------
    embeddings : ndarray of shape (2P, D)
        L2-normalised.
    issame : sequence of bool, length P
    false_accept_rates : sequence of float

    Returns
    -------
    list of dict
        `far`, `tar` and `threshold` (pairs below it are accepted): the largest at which not more
        than that share of the different pairs is accepted. A rate below one in the number of
        different pairs cannot be measured and is left out.
    """
    dist, issame = _distances(embeddings, issame)
    different = np.sort(dist[~issame])
    rates = []
    for far in false_accept_rates:
        allowed = int(far * len(different) + 1e-9)
        if allowed == 0:
            continue
        threshold = float(different[allowed]) if allowed < len(different) else np.inf
        tar = float(np.mean(dist[issame] < threshold))
        rates.append({"far": far, "tar": tar, "threshold": threshold})
    return rates


def _distances(embeddings, issame):
    issame = np.asarray(issame, bool)
    if len(embeddings) != 2 * len(issame) or issame.all() or not issame.any():
        raise InputError(
            f"a curve needs same and different pairs and two embeddings a pair, got "
            f"{np.count_nonzero(issame)} same, {np.count_nonzero(~issame)} different pairs and "
            f"{len(embeddings)} embeddings"
        )
    return pair_distances(embeddings[0::2], embeddings[1::2]), issame
