"""What a margin costs: loss and classifier together, against a bare softmax on the same classifier.

    python benchmarks/margin.py

Forward and backward from embeddings (batch, 512) to the gradients of embeddings and class vectors,
for 85,742 classes. Each line of the table is measured in a process of its own, in one run, by
turns; the exit status is 1 where a loss costs more than LIMIT times the bare softmax. On one thread
unless told otherwise: with several, each waits for the slowest, and another program on the machine
spoils the figures.

Two things cost: normalising the class vectors, which takes the same time whatever the batch, and
the margin itself, for which the second line shows the base. So the ratio falls as the batch grows.
The default is the batch by which 2018 counts its steps, that of four devices.
"""

import argparse
import json
import os
import subprocess
import sys
import time

LIMIT = 1.3
CLASSES, SIZE = 85742, 512
BARE = "softmax"
# Name of a measurement -> flags of the head; the order is that of the table.
MEASUREMENTS = {
    BARE: {"loss_type": 0, "fc7_no_bias": True},
    "no margin, normalised": {"loss_type": 5, "margin_m": 0.0},
    "1 SphereFace": {"loss_type": 1},
    "2 CosineFace": {"loss_type": 2, "margin_m": 0.35},
    "4 ArcFace": {"loss_type": 4},
    "5 combined": {"loss_type": 5, "margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
}


def parse_args(argv=None):
    """The command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=512, help="embeddings in a batch")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the best one counts")
    parser.add_argument("--threads", type=int, default=1, help="OpenMP threads")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def bound_head(flags, batch_size):
    """Executor of the head in the form that is trained, with numbers of a usual size."""
    import numpy as np

    from src.common.mxnet_backend import mx
    from src.training.heads import BETA, classification_head, trained_form

    symbol = classification_head(mx.sym.var("embedding"), CLASSES, embedding_size=SIZE, **flags)
    symbol = trained_form(symbol)
    rng = np.random.RandomState(0)
    values = {
        "embedding": rng.randn(batch_size, SIZE),
        "fc7_weight": rng.standard_normal((CLASSES, SIZE)) * 0.01,
        "softmax_label": rng.randint(0, CLASSES, batch_size),
        BETA: np.full(batch_size, 100.0),
    }
    arrays = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    gradients = {name: mx.nd.zeros(arrays[name].shape) for name in ("embedding", "fc7_weight")}
    wanted = {name: "write" if name in gradients else "null" for name in arrays}
    return symbol.bind(mx.cpu(), arrays, gradients, grad_req=wanted)


def measure(name, batch_size, times=4):
    """[seconds of the fastest step but the first, MB that the arrays between take]."""
    from src.common.mxnet_backend import mx

    executor = bound_head(MEASUREMENTS[name], batch_size)
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        executor.forward(is_train=True)
        executor.backward()
        mx.nd.waitall()
        seconds.append(time.perf_counter() - begin)
    return [min(seconds[1:]), planned_megabytes(executor)]


def planned_megabytes(executor):
    """What MXNet allocates between the inputs and their gradients, which it tells in a sentence."""
    (line,) = (row for row in executor.debug_str().splitlines() if row.endswith("MB allocated"))
    return int(line.split()[1])


def measure_apart(name, batch_size, threads):
    """The same in a process of its own, with so many threads."""
    command = [sys.executable, __file__, "--measure", name, "--batch-size", str(batch_size)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout)


def print_table(results, batch_size):
    """Time, memory and their ratios to the bare softmax; returns whether all keep to the limit."""
    given = 4 * SIZE * (2 * CLASSES + 2 * batch_size) / 2**20  # inputs and their gradients
    bare_seconds, bare_megabytes = results[BARE]
    print(f"{'':24}{'ms':>8}{'ratio':>8}{'limit':>8}{'MB':>8}{'ratio':>8}")
    kept = True
    for name, (seconds, megabytes) in results.items():
        ratio = seconds / bare_seconds
        memory = (megabytes + given) / (bare_megabytes + given)
        line = f"{name:24}{1000 * seconds:>8.0f}{ratio:>8.2f}"
        if MEASUREMENTS[name]["loss_type"] and name[0].isdigit():
            kept = kept and ratio <= LIMIT
            line += f"{LIMIT:>8.1f}{megabytes + given:>8.0f}{memory:>8.2f}"
            line += "" if ratio <= LIMIT else "  ABOVE"
        else:
            line += f"{'':>8}{megabytes + given:>8.0f}{memory:>8.2f}"
        print(line)
    return kept


def main(args=None):
    """Runs the benchmark; returns the exit status."""
    args = parse_args(args)
    if args.measure:
        print(json.dumps(measure(args.measure, args.batch_size)))
        return 0
    results = {}
    for _ in range(args.rounds):
        for name in MEASUREMENTS:
            result = measure_apart(name, args.batch_size, args.threads)
            results[name] = min(result, results.get(name, result))
    return 0 if print_table(results, args.batch_size) else 1


if __name__ == "__main__":
    sys.exit(main())
