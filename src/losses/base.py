"""The interface of a training loss: its settings, which are flags; its head; and its log lines.

A loss is one module with one class; CONTRIBUTING shows a complete one. `registry` finds it by its
`number`, and `train_softmax` offers it if it is a `ClassificationLoss`. A loss that needs special
batches, such as the triplet loss, also needs a command that samples them.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from src.common.errors import InputError
from src.common.mxnet_backend import mx

# 2018: steps are for batches of 512 images; with other batch sizes they are scaled, so that the
# number of images between them stays the same.
REFERENCE_BATCH = 512


def setting(default: Any, help: str) -> Any:
    """A setting of a loss, and its flag: `margin_m` is `--margin-m`, of the default's type."""
    return dataclasses.field(default=default, metadata={"help": help})


class ClassWeights(NamedTuple):
    """The class vectors `fc7_weight` of a classifier, (`num_classes`, `embedding_size`).

    `lr_mult` and `wd_mult`, factors of their learning rate and weight decay, become attributes of
    the saved graph, as in 2018; the optimizer is given the same numbers, see `make_optimizer`.
    """

    num_classes: int
    embedding_size: int
    lr_mult: float = 1.0
    wd_mult: float = 1.0


@dataclasses.dataclass(frozen=True)
class Loss(ABC):
    """A training loss.

    The fields of a subclass are its settings, declared by `setting`.

    Attributes
    ----------
    number
        The value of `--loss-type`.
    title, formula
        For the documentation: the name, and the logit of an image's own class.
    lr_steps
        Batches after which the learning rate falls if `--lr-steps` is empty, for batches of
        `REFERENCE_BATCH` images.
    remedy
        What to do if the loss becomes NaN or infinite.
    step_inputs
        Inputs of the trained graph, (N,) each, that change from step to step; `step_values` gives
        their values.
    """

    number: ClassVar[int]
    title: ClassVar[str]
    formula: ClassVar[str] = ""
    lr_steps: ClassVar[Sequence[int]] = (100000, 140000, 160000)
    remedy: ClassVar[str] = "use a lower --lr"
    step_inputs: ClassVar[Sequence[str]] = ()

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises InputError, naming the flag, for settings that the formula is not defined for."""

    def for_classes(self, num_classes: int) -> Loss:
        """The loss for a data set with that many classes."""
        return self

    @abstractmethod
    def head(
        self, embedding: mx.sym.Symbol, weights: ClassWeights, trained: bool = False
    ) -> mx.sym.Symbol:
        """The graph from an embedding (N, D) to the loss.

        The first output is the embedding, without gradient; the metrics read the others.

        Parameters
        ----------
        trained
            False gives the graph that is saved, from operators that MXNet 1.3.1 has. True gives the
            graph that is trained, with the same function and gradients; it may need less memory
            and have `step_inputs`.
        """

    def step_values(self, step: int) -> dict[str, float]:
        """The value of each of `step_inputs` for a batch; the first batch is 1."""
        return {}

    @abstractmethod
    def metrics(self) -> list[mx.metric.EvalMetric]:
        """The metrics of a training log; one of them is called `lossvalue`."""

    @abstractmethod
    def describe(self, num_classes: int, embedding_size: int) -> list[str]:
        """Lines for the log before the first batch: what to expect of the loss."""


def require(condition: bool, flag: str, value: float, expected: str) -> None:
    """Raises InputError for a setting unless the condition is true."""
    if not condition:
        raise InputError(f"{flag} {value}: expected {expected}")
