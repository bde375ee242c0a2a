"""Identification: which person of a gallery does a photo show, if any?

A probe is compared with one embedding of each person of the gallery. It is mated if its person is
in the gallery. Ranks are those of closed-set identification, over the mated probes. FPIR is the
share of the other probes that are given somebody's name, TPIR the share of the mated ones that are
given the right name first, at the same threshold (ISO/IEC 19795-1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.eval.curves import rate_thresholds

RANKS = (1, 5, 10)
FALSE_POSITIVE_RATES = (1e-1, 1e-2, 1e-3)
UNMATED = -1
EQUAL = 1e-6  # similarities that differ by less are equal, because float32 has rounded them
GALLERY_BLOCK, PROBE_BLOCK = 4096, 1024  # similarities of 16 MB


class Scores(NamedTuple):
    """For each probe, (P,): its rank, its mate's similarity, and that of the most similar person.

    The rank counts people that are as similar as the mate as more similar. Unmated probes have rank
    0, and NaN for the mate.
    """

    rank: np.ndarray
    mate: np.ndarray
    best: np.ndarray


def score_probes(gallery: np.ndarray, probes: np.ndarray, mates: np.ndarray) -> Scores:
    """Compares all probes with all people, in blocks.

    Parameters
    ----------
    gallery, probes
        float32 (C, D) and (P, D), rows of length 1.
    mates
        int (P,), the row of a probe's person in the gallery, or `UNMATED`.
    """
    rank = np.zeros(len(probes), np.int64)
    best = np.full(len(probes), -np.inf, np.float32)
    mated = mates != UNMATED
    mate = np.full(len(probes), np.nan, np.float32)
    for begin in range(0, len(probes), PROBE_BLOCK):
        part = slice(begin, begin + PROBE_BLOCK)
        rows = np.flatnonzero(mated[part]) + begin
        mate[rows] = np.einsum("pd,pd->p", probes[rows], gallery[mates[rows]])
        limits = mate[part, None] - np.float32(EQUAL)
        for first in range(0, len(gallery), GALLERY_BLOCK):
            similar = probes[part] @ gallery[first : first + GALLERY_BLOCK].T
            best[part] = np.maximum(best[part], similar.max(axis=1))
            here = mates[part] - first
            own = np.flatnonzero(mated[part] & (here >= 0) & (here < similar.shape[1]))
            similar[own, here[own]] = np.inf  # the mate itself counts once
            rank[part] += np.count_nonzero(similar >= limits, axis=1)
    return Scores(rank, mate, best)


class Identification(NamedTuple):
    """The numbers of people, mated and unmated probes, and the rates.

    `ranks` has the share of mated probes whose person is among the first K, for each K; `rates` the
    `tpir` and `threshold` at each `fpir`. With n unmated probes, rates below 1 / n cannot be
    measured and are left out.
    """

    people: int
    mated: int
    unmated: int
    ranks: dict[int, float]
    rates: list[dict[str, float]]


def summarize(
    people: int,
    scores: Scores,
    ranks: Sequence[int] = RANKS,
    false_positive_rates: Sequence[float] = FALSE_POSITIVE_RATES,
) -> Identification:
    """The rates of all probes."""
    mated = scores.rank > 0
    unmated = scores.best[~mated]
    found = {
        k: float(np.mean(scores.rank[mated] <= k)) for k in ranks if k <= people and mated.any()
    }
    first = scores.mate[scores.rank == 1]
    rates = [
        {
            "fpir": fpir,
            "tpir": np.count_nonzero(first > -distance) / np.count_nonzero(mated),
            "threshold": -distance,
        }
        for fpir, distance in rate_thresholds(-unmated, false_positive_rates)
        if mated.any()
    ]
    return Identification(people, int(mated.sum()), len(unmated), found, rates)


def mean_embeddings(rows: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The mean (C, D) of the rows of each group, divided by its length.

    Parameters
    ----------
    rows
        (N, D)
    groups
        int (N,), 0 to C - 1, each at least once.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(count))
    sums = np.add.reduceat(rows[order], starts, axis=0)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
