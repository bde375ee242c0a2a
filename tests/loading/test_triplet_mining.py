"""Semi-hard mining compared with plain loops."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import normalize

from src.loading import triplet_mining
from src.loading.triplet_mining import positive_pairs, semi_hard_triplets, squared_distances


def plain_triplets(embeddings, counts, alpha, max_ap):
    """As the paper describes it, pair by pair."""
    distances = squared_distances(embeddings)
    triplets, start = [], 0
    for count in counts:
        own = range(start, start + count)
        for anchor in own:
            for positive in range(anchor + 1, start + count):
                to_positive = np.sum(np.square(embeddings[anchor] - embeddings[positive]))
                if max_ap > 0 and to_positive > max_ap:
                    continue
                to_positive = np.float32(to_positive)
                negatives = [
                    n
                    for n in range(len(embeddings))
                    if n not in own
                    and distances[anchor, n] - to_positive < np.float32(alpha)
                    and to_positive < distances[anchor, n]
                ]
                if negatives:
                    triplets.append(
                        (anchor, positive, negatives[np.random.randint(len(negatives))])
                    )
        start += count
    np.random.shuffle(triplets)
    return triplets


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    alpha=st.floats(0.05, 3),
    max_ap=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 1000),
)
def test_triplets_are_those_of_the_plain_loops(counts, alpha, max_ap, seed):
    embeddings = normalize(np.random.RandomState(seed).randn(sum(counts), 4))
    results = []
    for mine in (plain_triplets, semi_hard_triplets):
        np.random.seed(seed)
        results.append((mine(embeddings, counts, alpha, max_ap), np.random.rand()))
    assert results[0] == results[1]


def test_more_pairs_than_one_block(monkeypatch):
    monkeypatch.setattr(triplet_mining, "DISTANCES_AT_A_TIME", 43 * 7)
    counts = [40, 3]  # 780 pairs
    embeddings = normalize(np.random.RandomState(0).randn(43, 8))
    results = []
    for mine in (plain_triplets, semi_hard_triplets):
        np.random.seed(0)
        results.append(mine(embeddings, counts, 1.0, 0.0))
    assert results[0] == results[1]
    assert len(results[0]) > 100


def test_distances_are_those_of_the_definition():
    embeddings = np.random.RandomState(1).randn(600, 5)  # more rows than a block holds
    expected = np.sum(np.square(embeddings[:, None] - embeddings[None]), axis=2)
    distances = squared_distances(embeddings)
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)
    assert distances.min() >= 0


def test_positive_pairs_of_two_identities():
    anchors, positives = positive_pairs([3, 1, 2])
    assert list(zip(anchors, positives, strict=True)) == [(0, 1), (0, 2), (1, 2), (4, 5)]


@pytest.mark.parametrize("counts", [[4], [1, 1, 1]])
def test_no_negative_or_no_positive_gives_no_triplet(counts):
    embeddings = normalize(np.random.RandomState(1).randn(sum(counts), 5))
    assert semi_hard_triplets(embeddings, counts, 0.3) == []


def test_memory_does_not_grow_with_the_square_of_the_bag():
    """12,000 embeddings: all distances would take 576 MB in single precision."""
    embeddings = normalize(np.random.RandomState(0).randn(12000, 16))
    tracemalloc.start()
    try:
        triplets = semi_hard_triplets(embeddings, [2] * 6000, 0.01)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert triplets
    assert peak < 100e6


def test_a_stop_ends_the_mining_within_a_block():
    class Stop(Exception):
        pass

    calls = []

    def check():
        calls.append(len(calls))
        if len(calls) == 3:
            raise Stop

    embeddings = normalize(np.random.RandomState(0).randn(4000, 8))
    with pytest.raises(Stop):
        semi_hard_triplets(embeddings, [2] * 2000, 0.3, check_stop=check)
    assert len(calls) == 3
