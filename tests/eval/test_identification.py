"""Ranks and rates against a program that looks at one probe at a time."""

import numpy as np
import pytest

from src.eval import identification
from src.eval.identification import UNMATED, mean_embeddings, score_probes, summarize


def unit(rows):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


@pytest.fixture
def sets():
    """40 people; 150 probes, of which every third is a stranger."""
    draw = np.random.RandomState(0)
    gallery = unit(draw.standard_normal((40, 8)))
    mates = draw.randint(0, 40, 150)
    probes = unit(gallery[mates] + 0.6 * draw.standard_normal((150, 8)))
    mates[::3] = UNMATED
    return gallery, probes, mates


@pytest.mark.parametrize(("people", "probe"), [(4096, 1024), (7, 11), (1, 1), (40, 150)])
def test_ranks_and_rates(sets, monkeypatch, people, probe):
    monkeypatch.setattr(identification, "GALLERY_BLOCK", people)
    monkeypatch.setattr(identification, "PROBE_BLOCK", probe)
    gallery, probes, mates = sets
    found = summarize(len(gallery), score_probes(*sets))
    ranks, named, strangers = [], [], []
    for row, mate in zip(probes.astype(float), mates, strict=True):
        similar = gallery.astype(float) @ row
        if mate == UNMATED:
            strangers.append(max(similar))
        else:
            ranks.append(1 + sum(value > similar[mate] for value in similar))
            named.append((ranks[-1], similar[mate]))
    assert (found.people, found.mated, found.unmated) == (40, 100, 50)
    assert found.ranks == {k: pytest.approx(np.mean(np.array(ranks) <= k)) for k in (1, 5, 10)}
    assert 0.2 < found.ranks[1] < found.ranks[5] < 1
    assert [row["fpir"] for row in found.rates] == [0.1, 0.01][: 1 + (50 * 0.01 >= 1)]
    (rate,) = found.rates
    assert sum(value > rate["threshold"] + 1e-6 for value in strangers) == 5
    right = [rank == 1 and value > sorted(strangers)[-6] for rank, value in named]
    assert rate["tpir"] == pytest.approx(np.mean(right))


def test_a_person_as_similar_as_the_mate_comes_first():
    gallery = unit(np.array([[1, 0], [1, 0], [0, 1], [1, 1]]))
    scores = score_probes(gallery, gallery[:3], np.array([0, 1, 2]))
    assert scores.rank.tolist() == [2, 2, 1]


def test_without_strangers_there_is_no_rate():
    gallery = unit(np.eye(3))
    found = summarize(3, score_probes(gallery, gallery, np.arange(3)))
    assert (found.ranks, found.rates) == ({1: 1.0}, [])


def test_without_mates_there_are_no_ranks():
    gallery = unit(np.eye(3))
    found = summarize(3, score_probes(gallery, gallery, np.full(3, UNMATED)))
    assert (found.ranks, found.rates, found.unmated) == ({}, [], 3)


def test_a_person_is_the_mean_of_the_photos():
    rows = np.array([[1, 0], [0, 1], [0, 1], [0, -3]], np.float32)
    means = mean_embeddings(rows, np.array([1, 0, 1, 2]), 3)
    np.testing.assert_allclose(means, [[0, 1], [0.5**0.5, 0.5**0.5], [0, -1]], atol=1e-7)
