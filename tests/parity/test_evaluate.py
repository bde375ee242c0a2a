"""`verification.evaluate` against results of 2018 (reference/evaluate, SciPy 1.2.3, NumPy 1.14)."""

import numpy as np
import pytest

from src.eval import roc, verification
from src.eval.far_threshold import threshold_at_far

NAMES = ("tpr", "fpr", "accuracy", "val", "val_std", "far")


@pytest.fixture(scope="module")
def reference(shared):
    return shared / "reference" / "evaluate"


def test_6000_pairs(reference):
    expected = np.load(reference / "pairs6000.npz")
    got = verification.evaluate(
        expected["embeddings"], expected["issame"], nrof_folds=int(expected["nrof_folds"])
    )
    for name, value in zip(NAMES, got, strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_validation_rate_of_each_fold(reference):
    folds = np.load(reference / "pairs6000_valfolds.npz")
    same = np.load(reference / "pairs6000.npz")["issame"]
    split = roc.LFold(n_splits=10).split(np.arange(6000))
    for fold, (train, test) in enumerate(split):
        dist = folds["dist"]
        _, far, _ = roc.threshold_rates(roc.VALIDATION_THRESHOLDS, dist[train], same[train])
        np.testing.assert_allclose(far, folds["far_train"][fold], rtol=0, atol=1e-12)
        threshold = threshold_at_far(roc.VALIDATION_THRESHOLDS, far, 1e-3)
        assert threshold == pytest.approx(folds["thresholds"][fold], abs=1e-12)
        val, far = verification.calculate_val_far(threshold, dist[test], same[test])
        assert val == pytest.approx(folds["val_per_fold"][fold], abs=1e-12)
        assert far == pytest.approx(folds["far_per_fold"][fold], abs=1e-12)


def test_pca_of_600_pairs(reference):
    """The rates at a FAR do not depend on the projection and are exact.

    The PCA of 1,080 rows is randomised, with a NumPy state that the reference does not record, so
    the accuracies must be within the range of 40 random states.
    """
    expected = np.load(reference / "pca16.npz")
    folds, components = int(expected["nrof_folds"]), int(expected["pca"])
    embeddings, same = expected["embeddings"], expected["issame"]
    sides = embeddings[0::2], embeddings[1::2]
    np.random.seed(0)
    got = verification.evaluate(embeddings, same, nrof_folds=folds, pca=components)
    for name, value in zip(NAMES[3:], got[3:], strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-6, err_msg=name)
    draws = [
        verification.calculate_roc(roc.ACCURACY_THRESHOLDS, *sides, same, folds, pca=components)
        for _ in range(40)
    ]
    for column, name in enumerate(NAMES[:2]):
        rates = np.array([draw[column] for draw in draws])
        inside = (rates.min(0) <= expected[name]) & (expected[name] <= rates.max(0))
        assert inside.mean() > 0.9, name
    means = [draw[2].mean() for draw in draws]
    assert min(means) <= expected["accuracy"].mean() <= max(means)
