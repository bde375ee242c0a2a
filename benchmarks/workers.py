"""What two workers exchange per step: every gradient, or embeddings and a few numbers per image.

    python benchmarks/workers.py

Two workers and two servers on this machine; a step is everything from embeddings (32, 512) on each
worker to updated class vectors of 20,000 classes. `MB` is the traffic of a step on the loopback
interface, in both directions of all processes; nothing else may use it meanwhile. The network in
front of the embeddings, whose gradients a real run exchanges too, has 512 parameters.
"""

import functools
import os
import subprocess
import sys
import time

import harness
import numpy as np

from src.common.mxnet_backend import mx
from src.common.workers import join_workers
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.training.classifiers import DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.sharded_classifier import ShardedClassifier
from src.training.trainer import Trainer

BATCH, SIZE, CLASSES = 32, 512, 20_000
WORKERS = SERVERS = 2
STEPS = 10
AS_WORKER = "--as-worker"  # of the processes that a measurement starts
RATES = {"dense": None, "sharded": 1.0, "sampled, rate 0.1": 0.1}


def loopback_bytes():
    """What the loopback interface has received since the start of the machine."""
    with open("/proc/net/dev") as file:
        lines = dict(line.split(":") for line in file if ":" in line)
    return int(lines[next(name for name in lines if name.strip() == "lo")].split()[0])


def scaled_features():
    """Embeddings (N, 512) that have a gradient, without the cost of a network."""
    scale = mx.sym.var("scale_weight", shape=(1, SIZE))
    return mx.sym.broadcast_mul(mx.sym.var("data"), scale)


def work(name):
    """Trains as one of the workers; the first one prints the result."""
    workers = join_workers("dist_sync", 600)
    with workers.together():
        weights, device, rate = ClassWeights(CLASSES, SIZE), mx.cpu(), RATES[name]
        classifier = (
            DenseClassifier(ArcFace(), weights)
            if rate is None
            else ShardedClassifier(ArcFace(), weights, [device], rate, workers)
        )
        trainer = Trainer(scaled_features(), classifier, [device], workers)
        trainer.bind(BATCH, (SIZE,), mx.init.Xavier(magnitude=2))
        trainer.init_optimizer(make_optimizer(Schedule(0.01, [], None, 1), 0.9, 5e-4, WORKERS))
        random = np.random.RandomState(workers.rank)
        data = mx.nd.array(random.randn(BATCH, SIZE))

        def step(number):
            labels = mx.nd.array(random.randint(0, CLASSES, BATCH))
            trainer.step(mx.io.DataBatch([data], [labels]), number)
            mx.nd.waitall()

        step(1)  # creates the buffers
        workers.any(False)  # waits for all
        began, before = time.perf_counter(), loopback_bytes()
        for number in range(2, 2 + STEPS):
            step(number)
        workers.any(False)
        if workers.is_first:
            sent = (loopback_bytes() - before) / STEPS / 1e6
            print(sent, 1000 * (time.perf_counter() - began) / STEPS)


def measure(name, args):
    """MB and milliseconds of a step."""
    command = ["-m", "src.training.launch", "-n", str(WORKERS), "-s", str(SERVERS), "--"]
    own = [sys.executable, os.path.abspath(__file__), AS_WORKER, name]
    done = subprocess.run(
        [sys.executable, *command, *own], check=True, stdout=subprocess.PIPE, text=True
    )
    sent, milliseconds = done.stdout.split()[-2:]
    return {"MB": float(sent), "ms": float(milliseconds)}


CASES = [
    harness.Case("dense", functools.partial(measure, "dense")),
    *(
        harness.Case(name, functools.partial(measure, name), base="dense", at_most=0.02)
        for name, rate in RATES.items()
        if rate is not None
    ),
]


if __name__ == "__main__":
    if sys.argv[1:2] == [AS_WORKER]:
        work(sys.argv[2])
    else:
        sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=2))
