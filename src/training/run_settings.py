"""What a `Run` needs: its settings, its data, and functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from src.common.mxnet_backend import mx
from src.training.fit import TrainingData
from src.training.schedule import Schedule
from src.training.trainer import Trainer

Verify = Callable[[Trainer, int], list[float]]
MakeOptimizer = Callable[[Schedule, int], mx.optimizer.Optimizer]
"""Takes the schedule, and the number of batches that the run has already trained on."""

STOP, ROLLBACK = "stop", "rollback"
LOCAL, DEVICE, DISTRIBUTED = KVSTORES = ("local", "device", "dist_sync")


class ResumableData(TrainingData, Protocol):
    """Training data that can be resumed."""

    batch_size: int
    provide_data: list[Any]

    def epoch_length(self) -> tuple[int | None, int]:
        """(batches in each epoch, or None if epochs differ; images that an epoch is made from)."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as plain numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where the data that returned `state` was."""

    def wait_seconds(self) -> float:
        """Total time spent waiting for data."""


class RunSettings(NamedTuple):
    """The settings of a run.

    `prefix`, `ckpt`, `verbose`, `resume`, `seed`, `on_nan`, `kvstore` are the flags of that name.
    `identity` contains the settings that must be the same when the run is resumed.
    """

    prefix: str
    ckpt: int
    verbose: int
    resume: bool
    seed: int
    identity: dict[str, Any]
    on_nan: str = STOP
    kvstore: str = DEVICE
