"""Accuracy, ROC and validation rate of pairs over folds, in the numbers of 2018.

A pair is told by the squared Euclidean distance of its two L2-normalised embeddings, 0 to 4: it is
called the same person where that is below a threshold. The threshold is chosen on nine folds and
measured on the tenth, in turn (Huang et al., Labeled Faces in the Wild, 2007).
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from src.common.errors import InputError
from src.eval.far_threshold import threshold_at_far

ACCURACY_THRESHOLDS = np.arange(0, 4, 0.01)
VALIDATION_THRESHOLDS = np.arange(0, 4, 0.001)
VALIDATION_FAR = 1e-3


class LFold:
    """Divides pairs into folds; with one fold, all pairs are trained and tested on."""

    def __init__(self, n_splits=2, shuffle=False):
        self.n_splits = n_splits
        if n_splits > 1:
            self.k_fold = KFold(n_splits=n_splits, shuffle=shuffle)

    def split(self, indices):
        """Pairs (training indices, test indices), one a fold."""
        if self.n_splits <= 1:
            return [(indices, indices)]
        if len(indices) < self.n_splits:
            raise InputError(
                f"{len(indices)} pairs cannot make {self.n_splits} folds; give fewer with --nfolds"
            )
        return self.k_fold.split(indices)


def check_folds(issame, nrof_folds, name="the set"):
    """Raises InputError where a fold has only one kind of pair, so that it has no rates.

    Parameters
    ----------
    issame : sequence of bool, length P
    nrof_folds : int
    name : str
        Of the set, for the message.
    """
    issame = np.asarray(issame, bool)
    folds = LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(len(issame)))
    for number, (_, test_set) in enumerate(folds, start=1):
        same = np.count_nonzero(issame[test_set])
        if same in (0, len(test_set)):
            kind = "different" if same == 0 else "same"
            raise InputError(
                f"{name}: fold {number} of {nrof_folds} holds {kind} pairs only, and a validation "
                "rate needs both kinds in each; pack the set with src.data.lfw2pack, which spreads "
                "them over the folds, or give fewer folds with --nfolds (1 for a single one)"
            )


def pair_distances(embeddings1, embeddings2):
    """Squared Euclidean distances (P,) of rows of two arrays (P,D)."""
    if embeddings1.shape != embeddings2.shape:
        raise InputError(
            f"pairs need as many embeddings on both sides, got {embeddings1.shape} and "
            f"{embeddings2.shape}"
        )
    return np.sum(np.square(np.subtract(embeddings1, embeddings2)), 1)


def calculate_roc(thresholds, embeddings1, embeddings2, actual_issame, nrof_folds=10, pca=0):
    """Rates over the thresholds, averaged over folds, and each fold's accuracy.

    Parameters
    ----------
    thresholds : ndarray of shape (T,)
    embeddings1, embeddings2 : ndarray of shape (P, D)
    actual_issame : ndarray of bool, shape (P,)
    nrof_folds : int
    pca : int
        Above 0, the embeddings are first projected on so many principal components of the training
        folds, and normalised again.

    Returns
    -------
    tpr, fpr : ndarray of shape (T,)
    accuracy : ndarray of shape (nrof_folds,)
        At the threshold that is best, and lowest among the best, on the other folds.
    """
    thresholds, actual_issame = np.asarray(thresholds), np.asarray(actual_issame, bool)
    dist = pair_distances(embeddings1, embeddings2)
    pairs = min(len(actual_issame), len(dist))
    tprs, fprs, accuracy = [], [], []
    folds = LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(pairs))
    for fold, (train_set, test_set) in enumerate(folds):
        if pca > 0:
            print("doing pca on", fold)
            dist = _projected_distances(embeddings1, embeddings2, train_set, pca)
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


def calculate_accuracy(threshold, dist, actual_issame):
    """(true positive rate, false positive rate, accuracy) at one threshold.

    A rate of nothing is 0.
    """
    tpr, fpr, accuracy = threshold_rates(
        np.array([threshold]), np.asarray(dist), np.asarray(actual_issame, bool)
    )
    return float(tpr[0]), float(fpr[0]), float(accuracy[0])


def calculate_val(thresholds, embeddings1, embeddings2, actual_issame, far_target, nrof_folds=10):
    """Validation rate at a false accept rate: (mean over folds, standard deviation, mean FAR).

    The threshold for a fold is where the FAR of the other folds reaches `far_target`, and 0 where
    it never does.

    Parameters
    ----------
    thresholds : ndarray of shape (T,)
    embeddings1, embeddings2 : ndarray of shape (P, D)
    actual_issame : ndarray of bool, shape (P,)
    far_target : float
    nrof_folds : int

    Raises
    ------
    InputError
        A fold holds only one kind of pair.
    """
    thresholds, actual_issame = np.asarray(thresholds), np.asarray(actual_issame, bool)
    dist = pair_distances(embeddings1, embeddings2)
    pairs = min(len(actual_issame), len(dist))
    check_folds(actual_issame[:pairs], nrof_folds)
    rates = []
    for train_set, test_set in LFold(n_splits=nrof_folds, shuffle=False).split(np.arange(pairs)):
        far_train = _far_curve(thresholds, dist[train_set], actual_issame[train_set])
        threshold = threshold_at_far(thresholds, far_train, far_target)
        rates.append(calculate_val_far(threshold, dist[test_set], actual_issame[test_set]))
    val, far = np.array(rates).T
    return np.mean(val), np.std(val), np.mean(far)


def calculate_val_far(threshold, dist, actual_issame):
    """(share of the same pairs, share of the different pairs) that are below the threshold.

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
            f"a rate needs pairs of both kinds, got {same} same and {different} different ones"
        )
    return (
        np.count_nonzero(accepted & actual_issame) / same,
        np.count_nonzero(accepted & ~actual_issame) / different,
    )


def evaluate(embeddings, actual_issame, nrof_folds=10, pca=0):
    """All figures of a verification set: tpr, fpr, accuracy, val, val_std, far.

    Parameters
    ----------
    embeddings : ndarray of shape (2P, D)
        L2-normalised; pair i is rows 2i and 2i+1.
    actual_issame : sequence of bool, length P
    nrof_folds, pca : int
        As for `calculate_roc`, whose thresholds are 0 to 4 by 0.01 here; 0.001 for the validation
        rate, which is taken at a FAR of 1e-3.
    """
    actual_issame = np.asarray(actual_issame, bool)
    sides = embeddings[0::2], embeddings[1::2]
    tpr, fpr, accuracy = calculate_roc(
        ACCURACY_THRESHOLDS, *sides, actual_issame, nrof_folds=nrof_folds, pca=pca
    )
    val, val_std, far = calculate_val(
        VALIDATION_THRESHOLDS, *sides, actual_issame, VALIDATION_FAR, nrof_folds=nrof_folds
    )
    return tpr, fpr, accuracy, val, val_std, far


def threshold_rates(thresholds, dist, same):
    """(tpr, fpr, accuracy), each (T,): how many distances are below is looked up in sorted ones."""
    true_accepts = np.searchsorted(np.sort(dist[same]), thresholds, side="left")
    false_accepts = np.searchsorted(np.sort(dist[~same]), thresholds, side="left")
    positives = np.count_nonzero(same)
    negatives = len(dist) - positives
    tpr = true_accepts / positives if positives else np.zeros(len(thresholds))
    fpr = false_accepts / negatives if negatives else np.zeros(len(thresholds))
    return tpr, fpr, (true_accepts + (negatives - false_accepts)) / len(dist)


def _far_curve(thresholds, dist, same):
    _, fpr, _ = threshold_rates(thresholds, dist, same)
    return fpr


def _projected_distances(embeddings1, embeddings2, train_set, components):
    train = np.concatenate((embeddings1[train_set], embeddings2[train_set]))
    # 2018: scikit-learn's choice of then. The randomised components of many rows are drawn from
    # NumPy's global state: np.random.seed makes them repeatable.
    few = max(train.shape) <= 500 or components >= 0.8 * min(train.shape)
    model = PCA(n_components=components, svd_solver="full" if few else "randomized").fit(train)
    return pair_distances(
        normalize(model.transform(embeddings1)), normalize(model.transform(embeddings2))
    )
