"""Loss 1: SphereFace, Liu et al., arXiv 1704.08063, annealed as in 2018."""

import dataclasses
import logging
import math
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

log = logging.getLogger(__name__)

# Node with beta: a constant in the saved graph, an input of the trained one.
BETA = "fc7_beta"

# SphereFace does not normalise embeddings. The square of this limit, 512 times that, and the square
# of its inverse can still be represented in float32.
LARGEST_COMPONENT = 1e15

# 2018: with more classes than this, SphereFace uses these two instead of the flags.
MANY_CLASSES = 20000
MANY_CLASSES_FREEZE, MANY_CLASSES_GAMMA = 5000, 0.06


@dataclasses.dataclass(frozen=True)
class SphereFace(ClassificationLoss):
    """(β·|x|·cos θ + |x|·ψ(θ)) / (1 + β), where ψ is `multiplied_angle`.

    The embedding keeps its length; the class vectors are normalised. Training begins with a large
    β, close to the softmax. 2018: there is no margin outside of training.
    """

    number: ClassVar[int] = 1
    title: ClassVar[str] = "SphereFace"
    formula: ClassVar[str] = "(β·|x|·cos θ + |x|·ψ(θ)) / (1 + β), ψ = (-1)^k cos(mθ) - 2k"
    step_inputs: ClassVar[tuple[str, ...]] = (BETA,)

    margin: int = setting(4, "factor of the angle, 1 to 4")
    beta: float = setting(1000.0, "annealing: start")
    beta_min: float = setting(5.0, "annealing: end")
    beta_freeze: int = setting(0, "batches before annealing; for every loss, before --lr-steps")
    gamma: float = setting(0.12, "annealing: how fast beta falls")
    power: float = setting(1.0, "annealing: exponent of the fall")

    def check(self) -> None:
        """Raises InputError for settings that the formulas are not defined for."""
        require(
            self.margin in (1, 2, 3, 4),
            "--margin",
            self.margin,
            "1, 2, 3 or 4, a factor of the angle",
        )
        for name in ("beta", "beta_min", "beta_freeze", "gamma", "power"):
            value = getattr(self, name)
            require(
                0 <= value < math.inf,
                f"--{name.replace('_', '-')}",
                value,
                "a number of at least 0",
            )

    def for_classes(self, num_classes: int) -> "SphereFace":
        """2018: with many classes it anneals later and more slowly, whatever the flags are."""
        if num_classes <= MANY_CLASSES:
            return self
        log.info(
            "SphereFace with more than %d classes: --beta-freeze is %d and --gamma %g, as in 2018",
            MANY_CLASSES,
            MANY_CLASSES_FREEZE,
            MANY_CLASSES_GAMMA,
        )
        return dataclasses.replace(self, beta_freeze=MANY_CLASSES_FREEZE, gamma=MANY_CLASSES_GAMMA)

    def logits(self, inputs: Inputs) -> mx.sym.Symbol:
        """|x|·cos θ, with the margin of the own class; see the base class."""
        embedding = mx.sym.clip(inputs.embedding, -LARGEST_COMPONENT, LARGEST_COMPONENT)
        unit_weight = mx.sym.L2Normalization(inputs.weight, mode="instance")
        # (N, C)
        logits = mx.sym.FullyConnected(
            embedding, unit_weight, num_hidden=inputs.num_classes, no_bias=True, name="fc7"
        )
        own = own_logits(logits, inputs.label)
        length = length_of(embedding)
        margined = length * multiplied_angle(own / length, self.margin)
        constant = mx.sym.full(shape=(1,), val=self.beta, name=BETA)
        beta = mx.sym.var(BETA) if inputs.trained else constant
        annealed = mx.sym.broadcast_div(mx.sym.broadcast_mul(own, beta) + margined, 1.0 + beta)
        target = mx.sym.where(in_training(own), annealed, own)
        return change_own_logits(logits, own, target, inputs)

    def step_values(self, step: int) -> dict[str, float]:
        """Beta of the given batch.

        2018: it is set after a batch, from the number of that batch, and used from the next one on.
        """
        moved = step - 1 - self.beta_freeze
        if moved <= 0:
            return {BETA: self.beta}
        return {BETA: max(self.beta_min, self.beta * (1 + self.gamma * moved) ** -self.power)}

    def initial_loss(self, num_classes: int, embedding_size: int) -> float:
        """The logits |x|·cos θ have the length of the embedding.

        Batch normalisation, the last layer of most networks here, makes that √D; with other last
        layers the loss starts at another value.
        """
        scale = math.sqrt(embedding_size)
        own_logit = scale * (1 - self.margin) / (1 + self.beta)  # ψ(π/2) = 1 - m
        return expected_loss(num_classes, embedding_size, scale, own_logit)

    def describe(self, num_classes: int, embedding_size: int) -> list[str]:
        """How beta will change, and the expected loss of an untrained network."""
        return [self._annealing(), *super().describe(num_classes, embedding_size)]

    def _annealing(self) -> str:
        start = f"SphereFace's beta {self.beta:g}"
        first = self.beta_freeze + 2
        if self.beta < self.beta_min:
            # 2018: accepted, so that beta rises to its minimum.
            return f"{start}, then {self.beta_min:g}, its minimum, from batch {first} on"
        return f"{start}, falling to no less than {self.beta_min:g} from batch {first} on"


def length_of(embedding: mx.sym.Symbol) -> mx.sym.Symbol:
    """|x| (N,) of embeddings (N, D); never 0, and its gradient is finite for any finite x."""
    squared = mx.sym.sum(mx.sym.square(embedding), axis=1)
    return mx.sym.sqrt(mx.sym.maximum(squared, LARGEST_COMPONENT**-2))


def in_training(like: mx.sym.Symbol) -> mx.sym.Symbol:
    """1 in a training forward pass, otherwise 0, in the shape of `like`; detected with a dropout.

    A module that is bound without gradients is never in training.
    """
    return mx.sym.Dropout(mx.sym.ones_like(like), p=0.5) != 1.0


def multiplied_angle(cosine: mx.sym.Symbol, margin: int) -> mx.sym.Symbol:
    """(-1)^k·cos(mθ) - 2k with k = ⌊mθ/π⌋ and m = `margin`, for any cosine near -1..1.

    The margin of L-Softmax (Liu et al., arXiv 1612.02295) and A-Softmax (arXiv 1704.08063). Unlike
    cos(mθ), it falls all the way from 1 at θ = 0 to 1 - 2m at π. cos(mθ) is a Chebyshev polynomial
    of cos θ, and k is the number of cos(π/m), cos(2π/m) … that are not below cos θ: no arccos is
    needed, and the gradient is finite everywhere.
    """
    if margin == 1:
        return cosine
    turns = sum(cosine <= math.cos(turn * math.pi / margin) for turn in range(1, margin))
    before, multiplied = cosine, 2.0 * cosine * cosine - 1.0
    for _ in range(2, margin):
        before, multiplied = multiplied, 2.0 * cosine * multiplied - before
    sign = 1.0 - 2.0 * (turns % 2.0)
    return sign * multiplied - 2.0 * turns
