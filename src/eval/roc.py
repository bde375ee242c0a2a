"""Accuracy, ROC and validation rate of pairs over folds, with the same results as in 2018.

A pair is accepted as the same person if the squared Euclidean distance of its two L2-normalised
embeddings, 0 to 4, is below a threshold. The threshold is chosen on nine folds and measured on the
tenth, in turn (Huang et al., Labeled Faces in the Wild, 2007).
"""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from src.common.errors import InputError
from src.eval.far_threshold import threshold_at_far
from src.eval.folds import IndexList, IsSame, LFold, check_folds

ACCURACY_THRESHOLDS = np.arange(0, 4, 0.01)
VALIDATION_THRESHOLDS = np.arange(0, 4, 0.001)
VALIDATION_FAR = 1e-3
BLOCK = 64  # pairs, whose differences stay in the processor's cache


def pair_distances(embeddings1: np.ndarray, embeddings2: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (P,) of the rows of two arrays (P,D)."""
    if embeddings1.shape != embeddings2.shape:
        raise InputError(
            "the two sides of the pairs need embeddings of the same shape, got "
            f"{embeddings1.shape} and {embeddings2.shape}"
        )
    parts = [slice(begin, begin + BLOCK) for begin in range(0, max(len(embeddings1), 1), BLOCK)]
    return np.concatenate(
        [np.sum(np.square(embeddings1[part] - embeddings2[part]), 1) for part in parts]
    )


def calculate_roc(
    thresholds: np.ndarray | Sequence[float],
    embeddings1: np.ndarray,
    embeddings2: np.ndarray,
    actual_issame: IsSame,
    nrof_folds: int = 10,
    pca: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates over the thresholds, averaged over folds, and each fold's accuracy.

    Parameters
    ----------
    thresholds
        (T,)
    embeddings1, embeddings2
        (P, D)
    actual_issame
        P booleans.
    pca
        Above 0: the embeddings are first projected onto that many principal components of the
        training folds, and normalised again.

    Returns
    -------
    tpr, fpr
        (T,)
    accuracy
        (nrof_folds,), each at the threshold that is best on the other folds; the lowest if several
        are.
    """
    dist = pair_distances(embeddings1, embeddings2)
    actual_issame = np.asarray(actual_issame, bool)[: len(dist)]
    if pca <= 0:
        return _roc_over_folds(thresholds, lambda fold, train: dist, actual_issame, nrof_folds)

    def projected(fold: int, train_set: IndexList) -> np.ndarray:
        print("doing pca on", fold)
        return _projected_distances(embeddings1, embeddings2, train_set, pca)

    return _roc_over_folds(thresholds, projected, actual_issame, nrof_folds)


def _roc_over_folds(
    thresholds: np.ndarray | Sequence[float],
    distances: Callable[[int, IndexList], np.ndarray],
    actual_issame: IsSame,
    nrof_folds: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`calculate_roc`, given a function from fold and training indices to distances (P,)."""
    thresholds, actual_issame = np.asarray(thresholds), np.asarray(actual_issame, bool)
    tprs, fprs, accuracy = [], [], []
    folds = LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(len(actual_issame)))
    for fold, (train_set, test_set) in enumerate(folds):
        dist = distances(fold, train_set)
        _, _, train_accuracy = threshold_rates(
            thresholds, dist[train_set], actual_issame[train_set]
        )
        tpr, fpr, test_accuracy = threshold_rates(
            thresholds, dist[test_set], actual_issame[test_set]
        )
        tprs.append(tpr)
        fprs.append(fpr)
        accuracy.append(test_accuracy[np.argmax(train_accuracy)])
    return np.mean(tprs, 0), np.mean(fprs, 0), np.array(accuracy)


def calculate_accuracy(
    threshold: float, dist: np.ndarray, actual_issame: IsSame
) -> tuple[float, float, float]:
    """(true positive rate, false positive rate, accuracy) at one threshold.

    The rate of a kind without pairs is 0.

    Parameters
    ----------
    dist
        Squared distances (P,).
    actual_issame
        P booleans.
    """
    tpr, fpr, accuracy = threshold_rates(
        np.array([threshold]), np.asarray(dist), np.asarray(actual_issame, bool)
    )
    return float(tpr[0]), float(fpr[0]), float(accuracy[0])


def calculate_val(
    thresholds: np.ndarray | Sequence[float],
    embeddings1: np.ndarray,
    embeddings2: np.ndarray,
    actual_issame: IsSame,
    far_target: float,
    nrof_folds: int = 10,
) -> tuple[float, float, float]:
    """Validation rate at a false accept rate: (mean over folds, standard deviation, mean FAR).

    A fold's threshold is where the FAR of the other folds reaches `far_target`, or 0 if it never
    does.

    Parameters
    ----------
    thresholds
        (T,)
    embeddings1, embeddings2
        (P, D)
    actual_issame
        P booleans.

    Raises
    ------
    InputError
        A fold has only one kind of pair.
    """
    dist = pair_distances(embeddings1, embeddings2)
    return _val_over_folds(thresholds, dist, actual_issame, far_target, nrof_folds)


def _val_over_folds(
    thresholds: np.ndarray | Sequence[float],
    dist: np.ndarray,
    actual_issame: IsSame,
    far_target: float,
    nrof_folds: int,
) -> tuple[float, float, float]:
    """`calculate_val`, given the distances (P,)."""
    thresholds = np.asarray(thresholds)
    actual_issame = np.asarray(actual_issame, bool)[: len(dist)]
    check_folds(actual_issame, nrof_folds)
    rates = []
    folds = LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(len(actual_issame)))
    for train_set, test_set in folds:
        _, far_train, _ = threshold_rates(thresholds, dist[train_set], actual_issame[train_set])
        threshold = threshold_at_far(thresholds, far_train, far_target)
        rates.append(calculate_val_far(threshold, dist[test_set], actual_issame[test_set]))
    val, far = np.array(rates).T
    return np.mean(val), np.std(val), np.mean(far)


def calculate_val_far(
    threshold: float, dist: np.ndarray, actual_issame: IsSame
) -> tuple[float, float]:
    """(validation rate, false accept rate): shares of same and different pairs that are accepted.

    Parameters
    ----------
    threshold
        Pairs with a smaller distance are accepted.
    dist
        Squared distances (P,).
    actual_issame
        P booleans.

    Raises
    ------
    InputError
        There are no pairs of one kind.
    """
    dist, actual_issame = np.asarray(dist), np.asarray(actual_issame, bool)
    accepted = np.less(dist, threshold)
    same, different = np.count_nonzero(actual_issame), np.count_nonzero(~actual_issame)
    if not same or not different:
        raise InputError(
            f"the rates need pairs of both kinds, got {same} same and {different} different pairs"
        )
    return (
        np.count_nonzero(accepted & actual_issame) / same,
        np.count_nonzero(accepted & ~actual_issame) / different,
    )


def evaluate(
    embeddings: np.ndarray, actual_issame: IsSame, nrof_folds: int = 10, pca: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float, float]:
    """All results of a verification set: tpr, fpr, accuracy, val, val_std, far.

    The first three are those of `calculate_roc`, at thresholds from 0 to 4 in steps of 0.01. The
    others are those of `calculate_val`, at a FAR of 1e-3, in steps of 0.001.

    Parameters
    ----------
    embeddings
        (2P, D), L2-normalised; pair i is rows 2i and 2i+1.
    actual_issame
        P booleans.
    pca
        As for `calculate_roc`.
    """
    actual_issame = np.asarray(actual_issame, bool)
    sides = embeddings[0::2], embeddings[1::2]
    dist = pair_distances(*sides)
    if pca > 0:
        roc = calculate_roc(ACCURACY_THRESHOLDS, *sides, actual_issame, nrof_folds, pca)
    else:
        same = actual_issame[: len(dist)]
        roc = _roc_over_folds(ACCURACY_THRESHOLDS, lambda fold, train: dist, same, nrof_folds)
    tpr, fpr, accuracy = roc
    val, val_std, far = _val_over_folds(
        VALIDATION_THRESHOLDS, dist, actual_issame, VALIDATION_FAR, nrof_folds
    )
    return tpr, fpr, accuracy, val, val_std, far


def threshold_rates(
    thresholds: np.ndarray, dist: np.ndarray, same: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tpr, fpr, accuracy), each (T,), from squared distances (P,) and bool (P,).

    Counts the distances below each threshold by searching the sorted distances.
    """
    true_accepts = np.searchsorted(np.sort(dist[same]), thresholds, side="left")
    false_accepts = np.searchsorted(np.sort(dist[~same]), thresholds, side="left")
    positives = np.count_nonzero(same)
    negatives = len(dist) - positives
    tpr = true_accepts / positives if positives else np.zeros(len(thresholds))
    fpr = false_accepts / negatives if negatives else np.zeros(len(thresholds))
    return tpr, fpr, (true_accepts + (negatives - false_accepts)) / len(dist)


def _projected_distances(
    embeddings1: np.ndarray, embeddings2: np.ndarray, train_set: IndexList, components: int
) -> np.ndarray:
    """Squared distances (P,) on the principal components of the training pairs."""
    train = np.concatenate((embeddings1[train_set], embeddings2[train_set]))
    # 2018: the solver that scikit-learn chose then. The randomised solver, used for many rows,
    # draws from NumPy's global state: np.random.seed makes it repeatable.
    few = max(train.shape) <= 500 or components >= 0.8 * min(train.shape)
    model = PCA(n_components=components, svd_solver="full" if few else "randomized").fit(train)
    return pair_distances(
        normalize(model.transform(embeddings1)), normalize(model.transform(embeddings2))
    )
