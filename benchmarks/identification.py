"""Identification: the time of one comparison of a probe with a person.

    python benchmarks/identification.py

50 ns are 20 million comparisons a second, on two threads. A million people are those of MegaFace's
gallery.
"""

import sys

import harness
import numpy as np

SIZE = 512
LIMIT = 50  # ns


def measure(people, probes):
    """ns of a comparison, and comparisons in millions a second."""
    from src.eval.identification import UNMATED, score_probes

    draw = np.random.RandomState(0)
    gallery, rows = (draw.standard_normal((n, SIZE)).astype(np.float32) for n in (people, probes))
    for array in (gallery, rows):
        array /= np.linalg.norm(array, axis=1, keepdims=True)
    mates = draw.randint(0, people, probes)
    mates[::2] = UNMATED
    seconds = harness.shortest(lambda: score_probes(gallery, rows, mates), 2)
    comparisons = people * probes
    return {"ns": 1e9 * seconds / comparisons, "M/s": comparisons / seconds / 1e6}


CASES = [
    harness.Case(
        f"{people:,} people, {probes:,} probes",
        lambda args, people=people, probes=probes: measure(people, probes),
        threads=2, values_at_most={"ns": LIMIT},
    )
    for people, probes in ((1_000, 100_000), (30_000, 10_000), (1_000_000, 1_000))
]  # fmt: skip


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=1))
