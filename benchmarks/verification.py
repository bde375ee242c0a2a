"""Verification of 6,000 pairs: the time of `evaluate`, and the memory of a complete run.

    python benchmarks/verification.py

`evaluate` gets embeddings of 512 numbers in float64 and is compared with the commit before this
project could read data sets of today. The memory is what the process grows by after the model is
bound: the images of a .bin, their embeddings, the results and the page.
"""

import contextlib
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import harness
import numpy as np

BEFORE = "3e2291c"
PAIRS, SIZE, SIDE, FOLDS = 6000, 512, 112, 10


def embeddings():
    """(embeddings (2P, 512), issame), of which some are wrong."""
    draw = np.random.RandomState(0)
    rows = draw.standard_normal((2 * PAIRS, SIZE))
    same = np.arange(PAIRS) % 2 == 0
    rows[1::2][same] = rows[0::2][same] + 1.5 * draw.standard_normal((PAIRS // 2, SIZE))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), same.tolist()


def time_evaluate(args):
    """Milliseconds of `evaluate`, and the memory that it adds."""
    from src.eval.verification import evaluate  # of the commit that is measured

    rows, same = embeddings()
    before = peak()
    milliseconds = 1000 * harness.shortest(lambda: evaluate(rows, same), 10)
    return {"ms": milliseconds, "MB": peak() - before}


def peak():
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(args):
    """Time of a verification with a page, and MB that it adds to a small model."""
    import cv2

    from src.checkpoints.binding import bind_embedding
    from src.common.mxnet_backend import mx
    from src.eval.pair_report import PairReport
    from src.eval.verification import verify
    from src.formats.verification_set import write_bin

    draw = np.random.RandomState(0)
    symbol = mx.sym.Pooling(mx.sym.var("data"), kernel=(16, 16), stride=(16, 16), pool_type="avg")
    symbol = mx.sym.FullyConnected(symbol, num_hidden=SIZE, name="fc1", no_bias=True)
    weights = {"fc1_weight": mx.nd.array(draw.standard_normal((SIZE, 3 * 49)))}
    module = bind_embedding(symbol, weights, {}, mx.cpu(), 32, (SIDE, SIDE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.bin"
        faces = (
            cv2.resize(draw.randint(0, 256, (12, 12, 3)).astype(np.uint8), (SIDE, SIDE))
            for _ in range(2 * PAIRS)
        )
        same = [pair % 2 == 0 for pair in range(PAIRS)]
        write_bin(path, (cv2.imencode(".jpg", face)[1].tobytes() for face in faces), same)
        before, started = peak(), time.perf_counter()
        report = PairReport(str(Path(folder) / "page.html"), "small")
        with contextlib.redirect_stdout(io.StringIO()):
            results = verify(
                {"pairs": str(path)}, (SIDE, SIDE), [1], lambda epoch: module, 32, FOLDS, report
            )
            report.write(results)
    return {"ms": 1000 * (time.perf_counter() - started), "MB": peak() - before}


CASES = [
    harness.Case("evaluate, before", time_evaluate, commit=BEFORE),
    harness.Case(
        "evaluate", time_evaluate, base="evaluate, before", at_most=1.0,
        values_at_most={"ms": 30},
    ),
    harness.Case("verification and page", measure_memory, values_at_most={"MB": 1000}),
]  # fmt: skip


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=2))
