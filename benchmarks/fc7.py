"""Classifiers of many classes: dense, sharded and sampled, by time and memory of a step.

    python benchmarks/fc7.py

A step is everything from embeddings (64, 512) to updated class vectors: forward, backward, and SGD
with momentum. `peak MB` is the peak memory of the process, with Python and MXNet. `state MB` is
what one device holds of class vectors and momentum; here all devices are CPU contexts of one
process, so only this column shows what dividing saves, and steps do not get faster.
"""

import functools
import resource
import sys

import harness
import numpy as np

from src.common.mxnet_backend import mx
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.training.classifiers import DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.sharded_classifier import ShardedClassifier
from src.training.trainer import Trainer

BATCH, SIZE = 64, 512
CLASSES, MANY = 200_000, 1_000_000
LARGEST = 5000  # MB, for a million classes at a rate of 0.1
DENSE = "dense"


def scaled_features():
    """Embeddings (N, 512) that have a gradient, without the cost of a network."""
    scale = mx.sym.var("scale_weight", shape=(1, SIZE))
    return mx.sym.broadcast_mul(mx.sym.var("data"), scale)


def classifier_of(classes, devices, rate):
    """The dense classifier for `rate` None, otherwise a divided one."""
    weights = ClassWeights(classes, SIZE)
    if rate is None:
        return DenseClassifier(ArcFace(), weights)
    return ShardedClassifier(ArcFace(), weights, [mx.cpu(i) for i in range(devices)], rate)


def measure(classes, devices, rate, args, times=3, batch=BATCH):
    """Milliseconds of a step, and MB."""
    classifier = classifier_of(classes, devices, rate)
    trainer = Trainer(scaled_features(), classifier, [mx.cpu(i) for i in range(devices)])
    trainer.bind(batch, (SIZE,), mx.init.Xavier(magnitude=2))
    trainer.init_optimizer(make_optimizer(Schedule(0.01, [], None, 1), 0.9, 5e-4, devices))
    random = np.random.RandomState(0)
    data = mx.nd.array(random.randn(batch, SIZE))
    numbers = iter(range(1, 1000))

    def step():
        labels = mx.nd.array(random.randint(0, classes, batch))
        trainer.step(mx.io.DataBatch([data], [labels]), next(numbers))
        mx.nd.waitall()

    seconds = harness.shortest(step, times)
    per_device = -(-classes // devices) if rate is not None else classes
    return {
        "ms": 1000 * seconds,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "state MB": 2 * 4 * SIZE * per_device / 1e6,
    }


def case(name, classes, devices, rate, **limits):
    """A line of the table."""
    return harness.Case(name, functools.partial(measure, classes, devices, rate), **limits)


CASES = [
    case(DENSE, CLASSES, 1, None),
    case("sharded, 1 device", CLASSES, 1, 1.0, base=DENSE),
    case("sharded, 2 devices", CLASSES, 2, 1.0, base=DENSE, others_at_most={"state MB": 0.5}),
    case("sharded, 4 devices", CLASSES, 4, 1.0, base=DENSE, others_at_most={"state MB": 0.25}),
    case(
        "sampled, rate 0.1", CLASSES, 1, 0.1, base=DENSE, at_most=0.2,
        others_at_most={"peak MB": 0.5},
    ),
    case("sampled, rate 0.1, 2 devices", CLASSES, 2, 0.1, base=DENSE),
    case("1 M classes, rate 0.1", MANY, 1, 0.1, values_at_most={"peak MB": LARGEST}),
]  # fmt: skip


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, better=min, rounds=2))
