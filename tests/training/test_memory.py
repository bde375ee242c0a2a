"""The memory estimate, compared with MXNet's own plan and with arrays."""

import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.bound import BoundGraph
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.triplet import Triplet
from src.symbols.table import build_embedding
from src.training import memory
from src.training.classifiers import DenseClassifier
from src.training.sharded_classifier import ShardedClassifier
from src.training.trainer import Trainer

BATCH = 4
SHAPE = (3, 112, 112)


def trainer_of(network="y1", head="GDC", classifier=None):
    classifier = classifier or DenseClassifier(Triplet(), ClassWeights(0, 64))
    return Trainer(build_embedding(network, 64, version_output=head), classifier, [mx.cpu()])


def planned_megabytes(symbol):
    """What MXNet allocates between parameters and gradients, from its debug report."""
    executor = symbol.simple_bind(mx.cpu(), data=(BATCH, *SHAPE))
    (line,) = (row for row in executor.debug_str().splitlines() if row.endswith("MB allocated"))
    return int(line.split()[1])


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize(
    ("network", "head"), [("y1", "GDC"), ("y1", "GNAP"), ("r18", "E"), ("m1", "E"), ("x1", "E")]
)
def test_layers_are_what_mxnet_plans(network, head, on_cpu):
    trainer = trainer_of(network, head)
    trainer.on_cpu = on_cpu
    found = memory.estimate(trainer, BATCH, SHAPE, True)
    planned = planned_megabytes(BoundGraph(trainer.backbone, on_cpu, for_training=True).symbol)
    assert found.layers / 2**20 == pytest.approx(planned, rel=0.25)


def test_parameters_and_momentum_are_exact():
    trainer = trainer_of()
    shapes = trainer.symbol.infer_shape(data=(3, *SHAPE), softmax_label=(3,))[0]
    names = trainer.symbol.list_arguments()
    count = sum(
        mx.nd.zeros(shape).size
        for name, shape in zip(names, shapes, strict=True)
        if name not in ("data", "softmax_label")
    )
    assert memory.estimate(trainer, BATCH, SHAPE, True).optimizer == 4 * count
    assert memory.estimate(trainer, BATCH, SHAPE, False).optimizer == 0
    # gradients and parameters; the rewritten graph adds constants of a few kB
    assert memory.estimate(trainer, BATCH, SHAPE, True).parameters == pytest.approx(
        8 * count, rel=0.02
    )


def test_classes_divided_and_sampled():
    weights = ClassWeights(1_000_000, 512)
    million = 4 * 512 * 1_000_000
    dense = DenseClassifier(ArcFace(), weights).bytes_per_device(64, True)
    # 12.7 GB were measured, with 0.6 GB of Python, MXNet and a network
    assert dense == pytest.approx(5 * million + 5 * 4 * 64 * 1_000_000)
    devices = [mx.cpu(number) for number in range(4)]
    whole, quarter = (
        ShardedClassifier(ArcFace(), weights, part).bytes_per_device(64, True)
        for part in (devices[:1], devices)
    )
    assert whole == 2 * million + 2 * 4 * 64 * 1_000_000
    assert quarter == 2 * million // 4 + 2 * 4 * 256 * 250_000
    sampled = ShardedClassifier(ArcFace(), weights, devices[:1], 0.1).bytes_per_device(64, True)
    assert sampled == 2 * million + million // 10 + 2 * 4 * 64 * 100_000


def test_an_estimate_that_does_not_fit_is_an_error(monkeypatch, caplog):
    caplog.set_level("INFO")
    found = memory.Memory(8_000_000, 1_500_000_000, 40_000_000_000, 4_000_000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 20_000_000_000)
    with pytest.raises(InputError, match=r"needs about 41\.5 GB, but this machine has 20\.0 GB"):
        memory.check(found, [mx.cpu()])
    monkeypatch.setattr(memory, "available_bytes", lambda: 40_000_000_000)
    memory.check(found, [mx.cpu()])  # close to the limit: the estimate may be too high
    with pytest.raises(InputError, match=r"needs about 83\.0 GB"):
        memory.check(found, [mx.cpu(0), mx.cpu(1)])
    monkeypatch.setattr(memory, "available_bytes", lambda: None)  # not Linux
    memory.check(found, [mx.cpu()])
    assert caplog.messages[0] == (
        "memory of each device, estimated: 41.5 GB (parameters 8 MB, layers 1.5 GB, classifier "
        "40.0 GB, optimizer 4 MB)"
    )


def test_the_free_memory_of_this_machine():
    assert 10e6 < memory.available_bytes() < 100e12
