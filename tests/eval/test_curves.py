"""ROC corners, best threshold and TAR at FAR, compared with scikit-learn and plain counts."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from src.common.errors import InputError
from src.eval import curves


def embeddings_at(distances):
    """Unit vectors (2P,2) whose pairs have these squared distances."""
    angles = 2 * np.arcsin(np.sqrt(np.asarray(distances, float)) / 2)
    rows = np.zeros((2 * len(angles), 2))
    rows[0::2, 0] = 1
    rows[1::2] = np.stack([np.cos(angles), np.sin(angles)], 1)
    return rows


@pytest.fixture
def noisy():
    draw = np.random.RandomState(0)
    same = draw.uniform(size=200) < 0.4
    first = draw.standard_normal((200, 6))
    second = np.where(same[:, None], first, 0) + draw.standard_normal((200, 6))
    return normalize(np.stack([first, second], 1).reshape(400, 6)), same


def test_roc_points_lie_on_the_curve_and_include_both_ends(noisy):
    embeddings, same = noisy
    dist = np.sum((embeddings[0::2] - embeddings[1::2]) ** 2, axis=1)
    fpr, tpr, thresholds = curves.roc_points(embeddings, same)
    for right, up, threshold in zip(fpr, tpr, thresholds, strict=True):
        assert right == pytest.approx(np.mean(dist[~same] <= threshold), abs=1e-12)
        assert up == pytest.approx(np.mean(dist[same] <= threshold), abs=1e-12)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert len(fpr) < 200
    area = curves.area_under_curve(fpr, tpr)
    assert area == pytest.approx(roc_auc_score(same, -dist), abs=1e-12)
    assert 0.6 < area < 1


def test_equal_distances_make_one_slanted_step():
    fpr, tpr, _ = curves.roc_points(embeddings_at([1, 1, 1, 1]), [True, False, True, False])
    assert (fpr.tolist(), tpr.tolist()) == ([0, 1], [0, 1])
    assert curves.area_under_curve(fpr, tpr) == 0.5


def test_a_perfect_model():
    embeddings = embeddings_at([0.1, 0.205, 3, 3.5])
    same = [True, True, False, False]
    fpr, tpr, _ = curves.roc_points(embeddings, same)
    assert (fpr.tolist(), tpr.tolist()) == ([0, 0, 1], [0, 1, 1])
    threshold, accuracy = curves.best_threshold(embeddings, same)
    assert (round(threshold, 2), accuracy) == (0.21, 1)


def test_accept_rates_match_the_counts(noisy):
    embeddings, same = noisy
    dist = np.sum((embeddings[0::2] - embeddings[1::2]) ** 2, axis=1)
    rows = curves.accept_rates(embeddings, same)
    assert [row["far"] for row in rows] == [0.1, 0.01]  # 120 different pairs: no 1e-3
    for row in rows:
        accepted = np.mean(dist[~same] < row["threshold"])
        beyond = np.mean(dist[~same] < np.nextafter(row["threshold"], 5))
        assert accepted <= row["far"] < beyond
        assert row["tar"] == np.mean(dist[same] < row["threshold"])


def test_a_curve_needs_both_kinds_of_pairs():
    for same in ([True, True], [False, False], [True]):
        with pytest.raises(InputError, match="both same and different pairs"):
            curves.roc_points(embeddings_at([1, 2]), same)


def test_the_equal_error_rate_is_where_both_errors_are_equal(noisy):
    embeddings, same = noisy
    fpr, tpr, _ = curves.roc_points(embeddings, same)
    found = curves.equal_error_rate(fpr, tpr)
    assert found == pytest.approx(np.interp(0, fpr - (1 - tpr), fpr), abs=1e-12)
    assert 0 < found < 0.5
    for distances, kinds, expected in (
        ([0, 0, 4, 4], [True, True, False, False], 0),
        ([4, 4, 0, 0], [True, True, False, False], 1),
        ([1, 1, 1, 1], [True, True, False, False], 0.5),
        ([0, 3, 1, 4], [True, True, False, False], 0.5),
        ([0, 1, 4, 2, 3, 4], [True, True, True, False, False, False], 1 / 3),
    ):
        points = curves.roc_points(embeddings_at(distances), kinds)
        assert curves.equal_error_rate(*points[:2]) == pytest.approx(expected, abs=1e-12)
