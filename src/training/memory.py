"""How much memory a run will need on each device, estimated before anything is allocated."""

import contextlib
import json
import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.bound import BoundGraph
from src.graphs.prelu import NEGATIVE_PART
from src.training.classifiers import FLOAT
from src.training.trainer import Trainer

log = logging.getLogger(__name__)

# Operators whose output MXNet writes over their input, or does not keep for the gradient.
NOT_KEPT = {
    *("Flatten", "Reshape", "expand_dims", "BlockGrad", "_copy", "Dropout", "zeros_like"),
    *("elemwise_add", "_Plus", "broadcast_mul", "negative", "LeakyReLU", "Activation"),
    *("_mul_scalar", "_plus_scalar", "_minus_scalar", "_rminus_scalar", "_div_scalar"),
}

# Gradients that exist beside the kept outputs; MXNet's own plan needs 1.04 to 1.2 times the latter.
GRADIENTS = 1.1

HALF = 2  # bytes of a float16 number

TOO_MUCH = 1.25  # an estimate of this many times the free memory certainly does not fit


class Memory(NamedTuple):
    """Bytes on each device.

    `parameters` of the network with their gradients, `layers` what these keep for the gradients,
    `classifier` everything of it, `optimizer` the network's momentum and float32 copies.
    """

    parameters: int
    layers: int
    classifier: int
    optimizer: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_amount(part)}" for name, part in self._asdict().items())
        return f"{_amount(self.total)} ({parts})"


def _amount(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def estimate(
    trainer: Trainer, batch_size: int, data_shape: Sequence[int], has_momentum: bool
) -> Memory:
    """The memory of each device; `batch_size` is that of one device.

    Within 25 % of what MXNet plans for the layers; parameters and momentum are exact.
    """
    network = BoundGraph(trainer.backbone, trainer.on_cpu, for_training=True).symbol
    internals = network.get_internals()
    shapes = internals.infer_shape(data=(batch_size, *data_shape))[1]
    operators = {node["name"]: node["op"] for node in json.loads(network.tojson())["nodes"]}
    arguments = {*network.list_arguments()} - {"data"}  # without statistics, which are small
    parameters = kept = 0
    for name, shape in zip(internals.list_outputs(), shapes, strict=True):
        if operators.get(name) == "null":
            parameters += math.prod(shape) if name in arguments else 0
        elif operators.get(name.removesuffix("_output")) not in NOT_KEPT or (
            NEGATIVE_PART in name  # of a GPU's PReLU
        ):
            kept += math.prod(shape)
    each = HALF if trainer.half else FLOAT
    copies = has_momentum + (trainer.half is not None)
    return Memory(
        2 * each * parameters,
        int(GRADIENTS * each * kept),
        trainer.classifier.bytes_per_device(batch_size, has_momentum),
        FLOAT * parameters * copies,
    )


def available_bytes() -> int | None:
    """Main memory that this process can still get, as Linux says; None elsewhere."""
    free = []
    with contextlib.suppress(OSError, ValueError, LookupError):
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
        with (
            open("/sys/fs/cgroup/memory.max") as most,
            open("/sys/fs/cgroup/memory.current") as used,
        ):
            limit = most.read().strip()
            if limit != "max":
                free.append(int(limit) - int(used.read()))
    return min(free) if free else None


def check(memory: Memory, contexts: Sequence[mx.Context]) -> None:
    """Logs the estimate; raises InputError if it certainly exceeds the free memory.

    CPU contexts share the main memory.
    """
    log.info("memory of each device, estimated: %s", memory)
    if contexts[0].device_type == "cpu":
        needed, free = memory.total * len(contexts), available_bytes()
        where = "this machine has"
    else:
        needed = memory.total
        free = min(mx.context.gpu_memory_info(context.device_id)[0] for context in contexts)
        where = "a GPU has"
    if free is not None and needed > TOO_MUCH * free:
        raise InputError(
            f"training needs about {_amount(needed)}, but {where} {_amount(free)} free: use a "
            "smaller --per-batch-size, --fc7-sample for the classifier, or fewer --devices cpu:N"
        )
