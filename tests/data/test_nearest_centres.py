"""The most similar centre is that of float64, however the sets are divided into blocks."""

import numpy as np
import pytest

from src.data import nearest_centres
from src.data.class_centres import unit_rows
from src.data.nearest_centres import nearest


def in_float64(queries, references):
    products = queries @ references.T
    return products.max(axis=1), products.argmax(axis=1)


@pytest.fixture(params=[(4096, 8192), (7, 3), (1, 1)], autouse=True)
def _blocks(request, monkeypatch):
    block, rechecked = request.param
    monkeypatch.setattr(nearest_centres, "BLOCK", block)
    monkeypatch.setattr(nearest_centres, "RECHECKED", rechecked)


def test_random_centres():
    draw = np.random.RandomState(0)
    queries, references = (unit_rows(draw.standard_normal((n, 16))) for n in (50, 83))
    similarities, places = nearest(queries, references)
    expected = in_float64(queries, references)
    np.testing.assert_allclose(similarities, expected[0], atol=1e-15)
    np.testing.assert_array_equal(places, expected[1])


def test_what_float32_cannot_tell_apart():
    """References that differ by 1e-9 in their similarity to the query, in any order."""
    draw = np.random.RandomState(1)
    queries = unit_rows(draw.standard_normal((5, 64)))
    references = []
    for query in queries:
        across = draw.standard_normal(64)
        across -= query * (across @ query)
        across /= np.linalg.norm(across)
        cosines = 0.5 + 1e-9 * draw.permutation(20)
        references += [c * query + np.sqrt(1 - c * c) * across for c in cosines]
    references = np.array(references)
    as_float32 = in_float64(queries.astype(np.float32), references.astype(np.float32))[1]
    similarities, places = nearest(queries, references)
    expected = in_float64(queries, references)
    assert (as_float32 != expected[1]).any()
    np.testing.assert_array_equal(places, expected[1])
    np.testing.assert_allclose(similarities, expected[0], atol=1e-15)


def test_the_first_of_equal_ones():
    row = unit_rows(np.random.RandomState(2).standard_normal((1, 8)))
    similarities, places = nearest(np.repeat(row, 3, 0), np.concatenate([-row, *[row] * 20]))
    assert places.tolist() == [1, 1, 1]
    np.testing.assert_allclose(similarities, 1, atol=1e-15)


def test_centres_without_images():
    rows = unit_rows(np.random.RandomState(3).standard_normal((2, 8)))
    queries = np.stack([np.zeros(8), rows[0], -rows[1]])
    references = np.stack([np.zeros(8), rows[1], np.zeros(8)])
    similarities, places = nearest(queries, references)
    expected = in_float64(queries, references)
    np.testing.assert_array_equal(places, expected[1])
    np.testing.assert_allclose(similarities, expected[0], atol=1e-15)


def test_without_references_there_is_none():
    similarities, places = nearest(np.ones((2, 4)) / 2, np.zeros((0, 1)))
    assert (similarities.tolist(), places.tolist()) == ([-1, -1], [-1, -1])
    assert [len(result) for result in nearest(np.zeros((0, 1)), np.ones((1, 1)))] == [0, 0]
