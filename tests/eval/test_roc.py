"""Folds, ROC and validation rate, compared with loops over every threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from sklearn.preprocessing import normalize

from src.common.errors import InputError
from src.eval import far_threshold, roc


def plain_rates(threshold, dist, same):
    """2018's counts, one pair at a time."""
    accepted = [bool(value < threshold) for value in dist]
    true_accepts = sum(a and s for a, s in zip(accepted, same, strict=True))
    false_accepts = sum(a and not s for a, s in zip(accepted, same, strict=True))
    positives = sum(map(bool, same))
    negatives = len(same) - positives
    tpr = true_accepts / positives if positives else 0
    fpr = false_accepts / negatives if negatives else 0
    return tpr, fpr, (true_accepts + negatives - false_accepts) / len(dist)


def plain_folds(count, folds):
    """(training, test) of contiguous folds; the first ones are larger by one if needed."""
    sizes = [count // folds + (fold < count % folds) for fold in range(folds)]
    ends = np.cumsum(sizes)
    for size, end in zip(sizes, ends, strict=True):
        test = np.arange(end - size, end)
        yield np.setdiff1d(np.arange(count), test), test


def plain_roc(thresholds, dist, same, folds):
    tprs, fprs, accuracies = [], [], []
    for train, test in plain_folds(len(same), folds):
        train_accuracy = [plain_rates(t, dist[train], same[train])[2] for t in thresholds]
        best = max(range(len(thresholds)), key=lambda i: (train_accuracy[i], -i))
        rates = np.array([plain_rates(t, dist[test], same[test]) for t in thresholds])
        tprs.append(rates[:, 0])
        fprs.append(rates[:, 1])
        accuracies.append(rates[best, 2])
    return np.mean(tprs, 0), np.mean(fprs, 0), accuracies


def pairs_of(distances):
    """Two arrays (P,1) whose squared distances are about these."""
    distances = np.asarray(distances, float)
    return np.sqrt(distances)[:, None], np.zeros((len(distances), 1))


def random_embeddings(seed, pairs=60, size=8):
    """Normalised embeddings (2P,D) and issame, mixed so that each fold has both kinds."""
    draw = np.random.RandomState(seed)
    first = draw.standard_normal((pairs, size))
    same = np.arange(pairs) % 3 != 1
    second = np.where(same[:, None], first, 0) + draw.standard_normal((pairs, size))
    rows = np.stack([first, second], 1).reshape(2 * pairs, size)
    return normalize(rows), same


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=25),
    st.integers(1, 4),
)
def test_roc_equals_the_loop(rows, folds):
    """The examples include distances equal to a threshold, and folds with one kind of pair."""
    levels, same = np.array([level for level, _ in rows]), np.array([kind for _, kind in rows])
    thresholds = np.array([0.0, 0.25, 1.0, 1.0, 2.25, 4.0, 9.0])
    sides = pairs_of((levels / 4) ** 2)
    dist = roc.pair_distances(*sides)
    split = plain_folds(len(same), folds) if folds > 1 else None
    got = roc.calculate_roc(thresholds, *sides, same, nrof_folds=folds)
    if split is None:
        rates = np.array([plain_rates(t, dist, same) for t in thresholds])
        expected = rates[:, 0], rates[:, 1], [rates[:, 2].max()]
    else:
        expected = plain_roc(thresholds, dist, same, folds)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_roc_at_all_400_thresholds_equals_the_loop():
    embeddings, same = random_embeddings(1)
    sides = embeddings[0::2], embeddings[1::2]
    got = roc.calculate_roc(roc.ACCURACY_THRESHOLDS, *sides, same, nrof_folds=5)
    expected = plain_roc(roc.ACCURACY_THRESHOLDS, roc.pair_distances(*sides), same, 5)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threshold", [-1, 0, 0.5, 1.0, 3, 5])
def test_calculate_accuracy(threshold):
    dist, same = np.array([0.5, 1.0, 1.0, 3.0]), np.array([True, True, False, False])
    assert roc.calculate_accuracy(threshold, dist, same) == plain_rates(threshold, dist, same)
    only_same = roc.calculate_accuracy(threshold, dist, np.ones(4, bool))
    assert only_same == plain_rates(threshold, dist, [True] * 4)
    assert all(isinstance(value, float) for value in only_same)


def test_lfold():
    assert roc.LFold(n_splits=1).split([3, 4]) == [([3, 4], [3, 4])]
    for count, folds in ((10, 2), (11, 3), (7, 7)):
        split = list(roc.LFold(n_splits=folds, shuffle=False).split(np.arange(count)))
        for got, expected in zip(split, plain_folds(count, folds), strict=True):
            np.testing.assert_array_equal(got[0], expected[0])
            np.testing.assert_array_equal(got[1], expected[1])
    with pytest.raises(InputError, match=r"3 pairs cannot be divided into 10 folds.*--nfolds"):
        roc.LFold(n_splits=10).split(np.arange(3))


def test_validation_rate_equals_the_loop():
    embeddings, same = random_embeddings(2)
    sides = embeddings[0::2], embeddings[1::2]
    dist = roc.pair_distances(*sides)
    thresholds = np.arange(0, 4, 0.005)
    rates = []
    for train, test in plain_folds(len(same), 4):
        far = np.array([plain_rates(t, dist[train], same[train])[1] for t in thresholds])
        threshold = far_threshold.threshold_at_far(thresholds, far, 0.2)
        rates.append(plain_rates(threshold, dist[test], same[test])[:2])
    rates = np.array(rates)
    got = roc.calculate_val(thresholds, *sides, same, 0.2, nrof_folds=4)
    expected = rates[:, 0].mean(), rates[:, 0].std(), rates[:, 1].mean()
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert 0 < got[0] < 1


def test_few_pairs_without_false_accepts():
    """If the FAR is never reached, the threshold is 0, and so is the rate."""
    embeddings = normalize(
        np.array([[1, 0], [1, 0.1], [1, 0], [-1, 0], [0, 1], [0, 1], [1, 0], [-1, 0]])
    )
    tpr, fpr, accuracy, val, val_std, far = roc.evaluate(
        embeddings, [True, False, True, False], nrof_folds=2
    )
    assert (val, val_std, far) == (0, 0, 0)
    assert accuracy.tolist() == [1, 1]
    assert (tpr[-1], fpr[-1]) == (1, 0)


def test_surplus_labels_are_ignored():
    embeddings, same = random_embeddings(3)
    longer = roc.evaluate(embeddings, [*same, True, False], nrof_folds=3)
    shorter = roc.evaluate(embeddings, same, nrof_folds=3)
    np.testing.assert_array_equal(longer[2], shorter[2])


def test_folds_with_one_kind_of_pair_raise_an_error():
    same = np.arange(20) < 10
    embeddings, _ = random_embeddings(4, pairs=20)
    with pytest.raises(InputError, match=r"fold 1 of 10 has only same pairs.*src.data.lfw2pack"):
        roc.evaluate(embeddings, same, nrof_folds=10)
    with pytest.raises(InputError, match=r"x.bin: fold 2 of 2 has only different pairs"):
        roc.check_folds([True, False, False, False], 2, "x.bin")
    with pytest.raises(InputError, match=r"x.bin: fold 1 of 1 has only same"):
        roc.check_folds([True], 1, "x.bin")
    roc.check_folds(same, 1, "x.bin")
    with pytest.raises(InputError, match="4 same and 0 different"):
        roc.calculate_val_far(1.0, np.ones(4), np.ones(4, bool))


def test_sides_of_unequal_length():
    with pytest.raises(InputError, match=r"\(3, 2\) and \(2, 2\)"):
        roc.calculate_roc([0.1], np.ones((3, 2)), np.ones((2, 2)), [True, False])


def test_pca_of_few_rows_is_exact(capsys):
    """Up to 500 rows, scikit-learn of 2018 computed exact components, as the covariance gives."""
    embeddings, same = random_embeddings(5)
    sides = embeddings[0::2], embeddings[1::2]
    got = roc.calculate_roc(roc.ACCURACY_THRESHOLDS, *sides, same, nrof_folds=3, pca=4)
    accuracies = []
    for train, test in plain_folds(len(same), 3):
        rows = np.concatenate([side[train] for side in sides])
        _, vectors = np.linalg.eigh(np.cov(rows.T))
        projected = [normalize((side - rows.mean(0)) @ vectors[:, -4:]) for side in sides]
        dist = roc.pair_distances(*projected)
        rates = [plain_rates(t, dist[train], same[train])[2] for t in roc.ACCURACY_THRESHOLDS]
        best = roc.ACCURACY_THRESHOLDS[int(np.argmax(rates))]
        accuracies.append(plain_rates(best, dist[test], same[test])[2])
    np.testing.assert_array_equal(got[2], accuracies)
    assert capsys.readouterr().out == "doing pca on 0\ndoing pca on 1\ndoing pca on 2\n"


def test_pca_of_many_rows_depends_on_numpys_seed():
    embeddings, same = random_embeddings(6, pairs=400, size=32)
    sides = embeddings[0::2], embeddings[1::2]
    results = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        results.append(roc.calculate_roc(roc.ACCURACY_THRESHOLDS, *sides, same, 5, pca=4)[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0


# ------------------------------------------------------------- threshold at a false accept rate


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=40, unique=True), st.floats(0, 1))
def test_threshold_without_plateaus_is_interpolated_linearly(rates, share):
    far = np.sort(rates) / 1e6
    thresholds = np.linspace(0, 4, len(far))
    target = far[0] + share * (far[-1] - far[0])
    expected = interp1d(far, thresholds)(np.clip(target, far[0], far[-1]))
    np.testing.assert_allclose(
        far_threshold.threshold_at_far(thresholds, far, target), expected, rtol=1e-6, atol=1e-9
    )


def test_far_that_is_never_reached_or_exceeded_from_the_start():
    thresholds = np.array([0.0, 1.0, 2.0])
    assert far_threshold.threshold_at_far(thresholds, np.array([0, 0, 0.0005]), 1e-3) == 0
    # SciPy 1.2's spline is 0 on a top plateau that equals the target.
    assert far_threshold.threshold_at_far(thresholds, np.array([0, 1e-3, 1e-3]), 1e-3) == 0
    assert far_threshold.threshold_at_far(thresholds, np.array([0, 0.0, 1e-3]), 1e-3) == 2
    with pytest.raises(InputError, match="start the thresholds at 0"):
        far_threshold.threshold_at_far(thresholds, np.array([0.5, 0.6, 1]), 1e-3)


def test_order_of_equal_values_is_that_of_numpy_before_vectorised_sorting():
    """`np.argsort(np.zeros(17))` of NumPy 1.23.5; up to 16 values it is stable."""
    golden = [0, 14, 13, 12, 11, 10, 9, 15, 8, 6, 5, 4, 3, 2, 1, 7, 16]
    assert far_threshold._introsort_at([0.0] * 17, range(17)) == golden
    assert far_threshold._introsort_at([0.0] * 16, range(16)) == list(range(16))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=300), st.data())
def test_the_order_sorts_the_values(values, data):
    whole = far_threshold._introsort_at(values, range(len(values)))
    assert sorted(whole) == list(range(len(values)))
    assert [values[index] for index in whole] == sorted(values)
    position = data.draw(st.integers(0, len(values) - 1))
    assert far_threshold._introsort_at(values, (position,)) == [whole[position]]
