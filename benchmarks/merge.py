"""Merging: the search for each identity's most similar one in another set.

    python benchmarks/merge.py

135,000 identities against 86,000, as when Glint's Asian celebrities are merged with MS1M, on two
threads; without computing the embeddings. `MB` is what the search adds to the centres.
"""

import resource
import sys

import harness
import numpy as np

BEFORE = "3e2291c"
QUERIES, REFERENCES, SIZE = 135_000, 86_000, 512
AT_A_TIME = 1000  # rows
SMALL = 8_000  # queries that are compared with the earlier commit


def centres(count, seed):
    """Unit rows (count, 512), float64."""
    draw = np.random.RandomState(seed)
    rows = np.empty((count, SIZE))
    for begin in range(0, count, AT_A_TIME):  # so that the peak of memory is that of the search
        part = rows[begin : begin + AT_A_TIME]
        part[:] = draw.standard_normal(part.shape)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def measure(count):
    """Seconds of the search, and its memory."""
    try:
        from src.data.nearest_centres import nearest
    except ImportError:  # the earlier commit
        from src.data.class_centres import nearest

    queries, references = centres(count, 0), centres(REFERENCES, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = harness.shortest(lambda: nearest(queries, references), 1, untimed=0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"s": seconds, "MB": grown / 1024}


CASES = [
    harness.Case(f"{SMALL:,}, before", lambda args: measure(SMALL), commit=BEFORE, threads=2),
    harness.Case(
        f"{SMALL:,}", lambda args: measure(SMALL), base=f"{SMALL:,}, before",
        at_most=300 / 468, threads=2,
    ),
    harness.Case(
        f"{QUERIES:,}", lambda args: measure(QUERIES), threads=2,
        values_at_most={"s": 300, "MB": 2000},
    ),
]  # fmt: skip


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=1))
