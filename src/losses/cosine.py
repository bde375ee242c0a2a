"""Losses on the cosine between an embedding and its class vector, with a margin."""

import dataclasses
import math
from abc import abstractmethod
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import require, setting
from src.losses.classification import (
    ClassificationLoss,
    Inputs,
    change_own_logits,
    expected_loss,
    own_logits,
)

RIGHT_ANGLE = math.pi / 2


@dataclasses.dataclass(frozen=True)
class CosineLoss(ClassificationLoss):
    """Logits s·cos θ, (N, C), and s·margin(cos θ) for an image's own class."""

    divisible: ClassVar[bool] = True
    unit_classes: ClassVar[bool] = True

    margin_s: float = setting(64.0, "scale of the logits")
    margin_m: float = setting(0.5, "margin: an angle, or for CosineFace a cosine")

    def check(self) -> None:
        """Raises InputError unless the scale is positive."""
        require(0 < self.margin_s < math.inf, "--margin-s", self.margin_s, "a scale above 0 (64)")

    @abstractmethod
    def margin(self, cosine: mx.sym.Symbol) -> mx.sym.Symbol | None:
        """The own class's cosine with its margin, given cos θ (N,); None without a margin."""

    @abstractmethod
    def margin_at_right_angle(self) -> float:
        """The same for θ = π/2, the angle of untrained embeddings."""

    def features(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """The embedding with the length s."""
        return mx.sym.L2Normalization(embedding, mode="instance", name="fc1n") * self.margin_s

    def target(self, own: mx.sym.Symbol) -> mx.sym.Symbol | None:
        """s·margin(cos θ), given s·cos θ."""
        with_margin = self.margin(own / self.margin_s)
        return None if with_margin is None else with_margin * self.margin_s

    def logits(self, inputs: Inputs) -> mx.sym.Symbol:
        """s·cos θ, with the margin of the own class; see the base class."""
        scaled = self.features(inputs.embedding)
        unit_weight = mx.sym.L2Normalization(inputs.weight, mode="instance")
        # (N, C)
        logits = mx.sym.FullyConnected(
            scaled, unit_weight, num_hidden=inputs.num_classes, no_bias=True, name="fc7"
        )
        own = own_logits(logits, inputs.label)
        target = self.target(own)
        if target is None:
            return logits
        return change_own_logits(logits, own, target, inputs)

    def initial_loss(self, num_classes: int, embedding_size: int) -> float:
        """The own class's logit is lower by its margin, see `expected_loss`."""
        own_logit = self.margin_s * self.margin_at_right_angle()
        return expected_loss(num_classes, embedding_size, self.margin_s, own_logit)
