"""Losses that classify: a softmax over all identities, with or without a margin."""

import dataclasses
import math
from abc import abstractmethod
from typing import ClassVar, NamedTuple

from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights, Loss
from src.losses.metrics import AccMetric, CrossEntropyMetric

# Names of the nodes with the own class's logit, and with what the margin adds to it.
OWN = "fc7_own"
DIFFERENCE = "fc7_difference"


class Inputs(NamedTuple):
    """What logits are computed from: `embedding` (N, D), `weight` (C, D) and `label` (N,).

    `trained` chooses the form of the graph, see `Loss.head`.
    """

    embedding: mx.sym.Symbol
    weight: mx.sym.Symbol
    label: mx.sym.Symbol
    num_classes: int
    trained: bool


@dataclasses.dataclass(frozen=True)
class ClassificationLoss(Loss):
    """A loss whose head is a softmax over the classes.

    The head's outputs are `blockgrad0_output` (N, D) and `softmax_output` (N, C). Its inputs, apart
    from the embedding's own, are `fc7_weight` (C, D), `softmax_label` (N,) and what `logits` adds.

    Arrays of (N, C) that one step of the trained graph writes: a plain softmax writes 2 forward and
    1 backward (logits, probabilities, gradient); a margin adds 1 forward (the logits with the own
    class's replaced) and 2 backward (the gradient with respect to those, and that of the own class
    alone, summed in place). At most 2 more exist at a time. Normalising the class vectors writes 1
    array of (C, D) forward and 1 backward. `benchmarks/margin.py` measures the cost.
    """

    # Whether `logits` is features·w (+ bias), with only the own class's logit changed. Then
    # `features` and `target` suffice, and the class vectors can be divided among devices.
    divisible: ClassVar[bool] = False
    unit_classes: ClassVar[bool] = False  # the class vectors are divided by their length

    remedy: ClassVar[str] = (
        "use a lower --lr, or start from a softmax checkpoint (--loss-type 0, then --pretrained)"
    )

    def features(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """What the class vectors are multiplied with, (N, D); for a divisible loss."""
        return embedding

    def target(self, own: mx.sym.Symbol) -> mx.sym.Symbol | None:
        """The own class's logit with its margin, given the one without, (N,); None without one."""
        return None

    @property
    def has_bias(self) -> bool:
        """Whether each class has a bias."""
        return False

    @abstractmethod
    def logits(self, inputs: Inputs) -> mx.sym.Symbol:
        """The logits (N, C)."""

    def head(
        self, embedding: mx.sym.Symbol, weights: ClassWeights, trained: bool = False
    ) -> mx.sym.Symbol:
        """Group of the embedding (no gradient) and the class probabilities, as in 2018."""
        label = mx.sym.var("softmax_label")
        # One vector per class; L2Normalization cannot infer its shape.
        weight = mx.sym.var(
            "fc7_weight",
            shape=(weights.num_classes, weights.embedding_size),
            lr_mult=weights.lr_mult,
            wd_mult=weights.wd_mult,
        )
        logits = self.logits(Inputs(embedding, weight, label, weights.num_classes, trained))
        features = mx.sym.BlockGrad(embedding, name="blockgrad0")
        # (N, C); the gradient is that of the batch's mean cross entropy.
        probabilities = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
        return mx.sym.Group([features, probabilities])

    @abstractmethod
    def initial_loss(self, num_classes: int, embedding_size: int) -> float:
        """The loss of an untrained network, to within about 10 %."""

    def describe(self, num_classes: int, embedding_size: int) -> list[str]:
        """The expected loss and accuracy of an untrained network."""
        expected = self.initial_loss(num_classes, embedding_size)
        return [self._expectation(f"{expected:.2f}", num_classes, "because it includes the margin")]

    def _expectation(self, expected: str, num_classes: int, why: str = "") -> str:
        return (
            f"expected loss of an untrained network: {expected}; accuracy starts at "
            f"1/{num_classes} and can stay near 0 for a long time with many classes"
            + (f", {why}" if why else "")
        )

    def metrics(self) -> list[mx.metric.EvalMetric]:
        """Accuracy, and the mean cross entropy."""
        return [AccMetric(), CrossEntropyMetric()]


def own_logits(logits: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
    """(N,): each row's entry of `logits` (N, C) at `label` (N,)."""
    return mx.sym.pick(logits, label, axis=1, name=OWN)


def change_own_logits(
    logits: mx.sym.Symbol,
    own: mx.sym.Symbol,
    target: mx.sym.Symbol,
    inputs: Inputs,
) -> mx.sym.Symbol:
    """`logits` (N, C) with each row's entry at its label changed from `own` to `target`, (N,) each.

    The saved graph uses a one-hot mask, as in 2018, so that MXNet 1.3.1 can load it.
    """
    difference = mx.sym.elemwise_sub(target, own, name=DIFFERENCE)
    if inputs.trained:
        return _replace_entries(logits, own + difference, inputs.label, inputs.num_classes)
    mask = mx.sym.one_hot(inputs.label, depth=inputs.num_classes, on_value=1.0, off_value=0.0)
    return logits + mx.sym.broadcast_mul(mask, mx.sym.expand_dims(difference, axis=1))


def _replace_entries(
    logits: mx.sym.Symbol, target: mx.sym.Symbol, label: mx.sym.Symbol, num_classes: int
) -> mx.sym.Symbol:
    """`logits` (N, C) with each row's entry at `label` replaced by `target`, (N,) each.

    Without a mask: one array of (N, C) forward, two backward.
    """
    # index_copy returns garbage as the gradient of its index, and does not check the index.
    label = mx.sym.clip(mx.sym.BlockGrad(label), 0, num_classes - 1)
    column = mx.sym.cast(label, dtype="int64")
    row = mx.sym.cast(mx.sym.contrib.arange_like(logits, axis=0), dtype="int64")
    changed = mx.sym.contrib.index_copy(
        mx.sym.reshape(logits, shape=(-1, 1)),
        row * num_classes + column,
        mx.sym.reshape(target, shape=(-1, 1)),
    )
    return mx.sym.reshape(changed, shape=(-1, num_classes))


def expected_loss(num_classes: int, embedding_size: int, scale: float, own_logit: float) -> float:
    """Loss if the own class has the logit `own_logit` and the others scale·cos θ with random θ.

    The logits of the n others are approximately normal with deviation s/√D. The logarithm of the
    sum of their exponentials is ln n + s²/2D as long as many of them contribute to the mean of such
    a sum. Beyond s/√D = √(2 ln n) it is dominated by the largest one (Derrida's random energy
    model, 1981).
    """
    entropy = math.log(max(num_classes - 1, 1))
    deviation = scale / math.sqrt(embedding_size)
    limit = math.sqrt(2 * entropy)
    others = deviation * limit if deviation > limit else entropy + deviation**2 / 2
    gap = others - own_logit
    # ln(1 + exp(gap)), without overflow
    return max(gap, 0.0) + math.log1p(math.exp(-abs(gap)))
