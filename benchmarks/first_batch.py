"""Seconds until the first batch of `train_softmax`, compared with an earlier commit.

    python benchmarks/first_batch.py --network x1

From the start of the process to the first forward pass: imports, the network, its parameters and
the data. Most of it is building the network; x1 has 23,000 parameters.
"""

import os
import subprocess
import sys
import tempfile
import time

import harness

BEFORE = "3e2291c"  # built the network three times
LIMIT = 0.4
SCRIPT = """
import os
from src import train_softmax
from src.common.mxnet_backend import mx

def first_batch(*args):
    print("first batch", flush=True)
    os._exit(0)

mx.mod.Module.forward_backward = first_batch
train_softmax.main()
"""


def measure(args):
    """Seconds from the start to the first batch."""
    flags = ["--data-dir", args.data_dir, "--prefix", os.path.join(args.data_dir, "model")]
    flags += ["--network", args.network, "--per-batch-size", "2", "--target", "", "--ckpt", "0"]
    started = time.perf_counter()
    command = [sys.executable, "-c", SCRIPT, *flags]
    # In a folder without `src`, so that PYTHONPATH decides which one is imported.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=args.data_dir) as process:
        seconds = next(
            time.perf_counter() - started for line in process.stdout if line == "first batch\n"
        )
    return {"seconds": seconds}


CASES = [
    harness.Case(f"commit {BEFORE}", measure, commit=BEFORE),
    harness.Case("this checkout", measure, base=f"commit {BEFORE}", at_most=LIMIT),
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--network", default="x1", help="of the training command")
    parser.add_argument("--data-dir", help="a training set; by default a small one is written")


def write_set(folder):
    """Writes a small training set."""
    import loader

    loader.write_faces(folder)
    with open(os.path.join(folder, "property"), "w") as file:
        file.write(f"{loader.IDENTITIES},112,112")


def main(argv):
    """Runs the benchmark; returns the exit status."""
    if "--data-dir" in argv:
        return harness.main(__file__, __doc__, CASES, argv, add_arguments, better=min)
    with tempfile.TemporaryDirectory() as folder:
        write_set(folder)
        return main([*argv, "--data-dir", folder])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
