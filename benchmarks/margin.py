"""The cost of a margin: loss and classifier together, compared with a plain softmax.

    python benchmarks/margin.py

Forward and backward from embeddings (batch, 512) to the gradients of embeddings and class vectors,
for 85,742 classes. MB is the size of all arrays: inputs, gradients, and what MXNet allocates in
between.

Two things take time: normalising the class vectors, which does not depend on the batch size, and
the margin itself. So the ratio falls as the batch grows; the second line shows the cost of
normalising alone. The default batch size is the one for which 2018's steps are given, that of four
devices. One thread is the default: with several, each waits for the slowest.
"""

import functools
import sys

import harness
import numpy as np

from src.common.mxnet_backend import mx
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.combined import Combined
from src.losses.cosineface import CosineFace
from src.losses.softmax import Softmax
from src.losses.sphereface import SphereFace

LIMIT = 1.3
CLASSES, SIZE = 85742, 512
BARE = "softmax"
LOSSES = {
    BARE: Softmax(fc7_no_bias=True),
    "no margin, normalised": Combined(margin_m=0.0),
    "1 SphereFace": SphereFace(),
    "2 CosineFace": CosineFace(margin_m=0.35),
    "4 ArcFace": ArcFace(),
    "5 combined": Combined(margin_a=0.9, margin_m=0.4, margin_b=0.15),
}


def bound_head(loss, batch_size):
    """Executor of a loss's trained graph, with values of realistic size."""
    symbol = loss.head(mx.sym.var("embedding"), ClassWeights(CLASSES, SIZE), trained=True)
    random = np.random.RandomState(0)
    values = {
        "embedding": random.randn(batch_size, SIZE),
        "fc7_weight": random.standard_normal((CLASSES, SIZE)) * 0.01,
        "softmax_label": random.randint(0, CLASSES, batch_size),
        **dict.fromkeys(loss.step_inputs, np.full(batch_size, 100.0)),
    }
    arrays = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    gradients = {name: mx.nd.zeros(arrays[name].shape) for name in ("embedding", "fc7_weight")}
    wanted = {name: "write" if name in gradients else "null" for name in arrays}
    return symbol.bind(mx.cpu(), arrays, gradients, grad_req=wanted)


def measure(loss, batch_size, times=3):
    """Milliseconds of a step, and MB of all arrays."""
    executor = bound_head(loss, batch_size)

    def step():
        executor.forward(is_train=True)
        executor.backward()
        mx.nd.waitall()

    given = 4 * SIZE * (2 * CLASSES + 2 * batch_size) / 2**20  # inputs and their gradients
    seconds = harness.shortest(step, times)
    return {"ms": 1000 * seconds, "MB": planned_megabytes(executor) + given}


def planned_megabytes(executor):
    """MB that MXNet allocates between inputs and gradients; only its debug report contains it."""
    (line,) = (row for row in executor.debug_str().splitlines() if row.endswith("MB allocated"))
    return int(line.split()[1])


CASES = [
    harness.Case(
        name,
        functools.partial(lambda loss, args: measure(loss, args.batch_size), loss),
        base="" if name == BARE else BARE,
        at_most=LIMIT if name[0].isdigit() else None,
    )
    for name, loss in LOSSES.items()
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--batch-size", type=int, default=512, help="embeddings in a batch")


if __name__ == "__main__":
    sys.exit(
        harness.main(__file__, __doc__, CASES, add_arguments=add_arguments, better=min, rounds=3)
    )
