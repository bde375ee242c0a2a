"""Memory, arithmetic, exchange and time of a step for up to 100 M classes and 512 devices.

    python benchmarks/scale_model.py

Prints the tables of docs/scale.md. What a device computes with is one core of this machine; the
model's constants are measured first, in the same run, and then its predictions for what this
machine can do are compared with measurements: the exit status is 1 if one is off by more than
`MOST_OFF`. For other devices the counts are the same, and the times are shorter.

A step has 64 images per device. A machine has up to 8 devices and is one worker with one server.
"""

import argparse
import math
import os
import subprocess
import sys
from typing import NamedTuple

import fc7
import harness
import numpy as np

from src.common.mxnet_backend import mx
from src.common.workers import join_workers
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.symbols.table import build_embedding
from src.training import memory
from src.training.classifiers import FLOAT, DenseClassifier
from src.training.optimizer import make_optimizer
from src.training.schedule import Schedule
from src.training.trainer import Trainer

CLASSES = (85_742, 1_000_000, 10_000_000, 100_000_000)
DEVICES = (1, 8, 64, 512)
BATCH, SIZE = 64, 512
PER_MACHINE = 8
RATES = {"dense": None, "sharded": 1.0, "sampled, rate 0.1": 0.1}

ARRAY = 1 << 31  # elements: MXNet 1.9.1 cannot have a larger array
LABELS = 1 << 24  # float32 labels and record numbers are exact below
MOST_OFF = 1.5

FITTED = ((100_000, 32), (100_000, 128))  # classes and images that fix the constants
CHECKED = ((85_742, 64), (200_000, 64))
AS_WORKER = "--as-worker"
FLOATS = 4_000_000  # of the arrays whose exchange is timed


class Constants(NamedTuple):
    """What was measured here, in seconds.

    `per_image` of the network; `per_product` of an image with a number of a class vector, and
    `per_number` of it whatever the batch, both by kind of classifier. `per_byte` and `per_exchange`
    are those of two workers on one machine.
    """

    per_image: float
    per_product: dict[str, float]
    per_number: dict[str, float]
    per_byte: float
    per_exchange: float


class Counts(NamedTuple):
    """Of a step: bytes in a device, floating-point operations of its classifier, bytes exchanged.

    The bytes are those that a machine sends and receives.
    """

    memory: float
    operations: float
    exchanged: float


class Scaled:
    """Devices that share the classes, without any array of them."""

    def __init__(self, rate: float | None, classes: int, devices: int) -> None:
        self.rate, self.classes, self.devices = rate, classes, devices

    @property
    def own(self) -> int:
        """Classes that a device has."""
        return self.classes if self.rate is None else -(-self.classes // self.devices)

    @property
    def used(self) -> int:
        """Classes that a device computes with in a step."""
        images = self.images
        if self.rate is None or self.rate == 1:
            return self.own
        return min(self.own, max(math.ceil(self.rate * self.own), images))

    @property
    def images(self) -> int:
        """Images whose logits a device computes."""
        return BATCH if self.rate is None else BATCH * self.devices

    def counts(self, network: memory.Memory) -> Counts:
        """What a step needs, given the network's memory in one device."""
        machines = -(-self.devices // PER_MACHINE)
        gradients = network.optimizer  # as many bytes as the parameters
        if self.rate is None:
            weights = ClassWeights(self.classes, SIZE)
            own = DenseClassifier(ArcFace(), weights).bytes_per_device(BATCH, True)
            gradients += FLOAT * self.classes * SIZE
        else:
            vectors = 2 * self.own + self.used * (self.rate < 1)
            own = FLOAT * (vectors * SIZE + 2 * self.images * self.used)
        exchanged = 0.0
        if machines > 1:
            exchanged = 2 * gradients  # pushed and pulled
            if self.rate is not None:  # features, their gradients, and four numbers per shard
                exchanged += 2 * FLOAT * self.images * (2 * SIZE + 4 * self.devices)
        return Counts(network.total + own, 6 * self.images * self.used * SIZE, exchanged)

    def seconds(self, kind: str, constants: Constants, counts: Counts) -> float:
        """Predicted duration of a step."""
        numbers = self.used * SIZE
        exchanges = 0 if counts.exchanged == 0 else 4
        return (
            constants.per_image * BATCH
            + numbers * (constants.per_number[kind] + self.images * constants.per_product[kind])
            + constants.per_byte * counts.exchanged
            + constants.per_exchange * exchanges
        )

    def obstacle(self) -> str:
        """What prevents it, or ''."""
        if self.classes >= LABELS:
            return "labels"
        return "array" if self.classes * SIZE >= ARRAY else ""


def network_trainer() -> Trainer:
    """MobileFaceNet with a small classifier."""
    network = build_embedding("y1", SIZE, version_output="GNAP")
    return Trainer(network, DenseClassifier(Softmax(), ClassWeights(10, SIZE)), [mx.cpu()])


def network_memory() -> memory.Memory:
    """Bytes of the network in one device, without a classifier."""
    found = memory.estimate(network_trainer(), BATCH, (3, 112, 112), True)
    return found._replace(classifier=0)


def seconds_per_image() -> float:
    """Of a training step of the network."""
    trainer, images = network_trainer(), 32
    trainer.bind(images, (3, 112, 112), mx.init.Xavier(magnitude=2))
    trainer.init_optimizer(make_optimizer(Schedule(0.01, [], None, 1), 0.9, 5e-4, 1))
    batch = mx.io.DataBatch([mx.nd.ones((images, 3, 112, 112))], [mx.nd.zeros(images)])

    def step():
        trainer.step(batch, 1)
        mx.nd.waitall()

    return harness.shortest(step, 2) / images


def measured(kind: str, classes: int, images: int) -> float:
    """Seconds of a step of a classifier on one device."""
    return fc7.measure(classes, 1, RATES[kind], None, 3, images)["ms"] / 1000


def fitted(kind: str) -> tuple[float, float]:
    """(per product, per number) of a classifier."""
    rows, seconds = [], []
    for classes, images in FITTED:
        numbers = Scaled(RATES[kind], classes, 1).used * SIZE
        rows.append([numbers * images, numbers])
        seconds.append(measured(kind, classes, images))
    scale = np.max(rows, axis=0)
    return tuple(np.linalg.solve(np.array(rows) / scale, seconds) / scale)


def exchange_as_worker() -> None:
    """Times sums of two workers; the first prints seconds per byte and per exchange."""
    workers = join_workers("dist_sync", 600)
    with workers.together():
        array = mx.nd.ones(FLOATS)

        def sum_up():
            workers.add_up("large", array)

        large = harness.shortest(sum_up, 5)
        small = harness.shortest(lambda: workers.any(False), 200)
        if workers.is_first:
            print(large / (2 * FLOAT * FLOATS), small)


def exchange() -> tuple[float, float]:
    """Seconds per byte, sent and received, and per exchange."""
    command = ["-m", "src.training.launch", "-n", "2", "-s", "2", "--"]
    own = [sys.executable, os.path.abspath(__file__), AS_WORKER]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(harness.REPOSITORY), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, *command, *own],
        check=True, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    per_byte, per_exchange = map(float, done.stdout.split()[-2:])
    return per_byte, per_exchange


def constants_here() -> Constants:
    """All constants, measured."""
    per_image = seconds_per_image()
    of_kinds = {kind: fitted(kind) for kind in RATES}
    return Constants(
        per_image,
        *({kind: found[place] for kind, found in of_kinds.items()} for place in range(2)),
        *exchange(),
    )


def amount(value: float, unit: str) -> str:
    """A number with a prefix: 1.2 GB."""
    if value == 0:
        return "–"
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def rows(constants: Constants | None) -> list[str]:
    """The table; without constants, the column of times is left out."""
    network = network_memory()
    lines = []
    for classes in CLASSES:
        for devices in DEVICES:
            for kind, rate in RATES.items():
                case = Scaled(rate, classes, devices)
                counts = case.counts(network)
                cells = [
                    f"{classes:,}",
                    str(devices),
                    kind,
                    amount(counts.memory, "B"),
                    amount(counts.operations, "FLOP"),
                    amount(counts.exchanged, "B"),
                    case.obstacle() or "",
                ]
                if constants:
                    cells.append(f"{case.seconds(kind, constants, counts):,.3g} s")
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measures, prints, and compares."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    constants = constants_here()
    print(f"network: {1 / constants.per_image:.1f} images/s")
    for kind in RATES:
        print(
            f"{kind}: {6 / constants.per_product[kind] / 1e9:.1f} GFLOP/s, "
            f"{1e9 * constants.per_number[kind]:.2f} ns per number of the class vectors"
        )
    print(
        f"exchange: {1e-6 / constants.per_byte:.0f} MB/s sent and received, "
        f"{1000 * constants.per_exchange:.2f} ms per exchange\n"
    )
    print("| classes | devices | classifier | memory | arithmetic | exchange | limit | step here |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows(constants)))
    print("\n| classes | classifier | predicted | measured | ratio |\n|---|---|---|---|---|")
    worst = 1.0
    for classes, images in CHECKED:
        for kind, rate in RATES.items():
            case = Scaled(rate, classes, 1)
            predicted = case.seconds(kind, constants, Counts(0, 0, 0)) - constants.per_image * BATCH
            seen = measured(kind, classes, images)
            worst = max(worst, predicted / seen, seen / predicted)
            cells = [f"{classes:,}", kind, f"{predicted:.3f} s", f"{seen:.3f} s"]
            print(f"| {' | '.join(cells)} | {predicted / seen:.2f} |")
    print(f"\nlargest factor between prediction and measurement: {worst:.2f} (limit {MOST_OFF})")
    return int(worst > MOST_OFF)


if __name__ == "__main__":
    if sys.argv[1:2] == [AS_WORKER]:
        exchange_as_worker()
    else:
        sys.exit(main())
