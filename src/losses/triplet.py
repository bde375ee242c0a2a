"""Loss 12: triplets, FaceNet, Schroff et al., arXiv 1503.03832, equation 2."""

import dataclasses
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights, Loss, setting
from src.losses.metrics import LossValueMetric


@dataclasses.dataclass(frozen=True)
class Triplet(Loss):
    """mean(max(0, |a - p|² - |a - n|² + alpha)) over the triplets, on the unit sphere."""

    number: ClassVar[int] = 12
    title: ClassVar[str] = "triplet"
    formula: ClassVar[str] = "mean of max(0, |a - p|² - |a - n|² + alpha)"
    lr_steps: ClassVar[tuple[int, ...]] = ()

    triplet_alpha: float = setting(0.3, "margin between squared distances")

    def head(
        self, embedding: mx.sym.Symbol, weights: ClassWeights | None = None, trained: bool = False
    ) -> mx.sym.Symbol:
        """Group of the embedding, the labels (neither with a gradient) and the loss.

        The outputs are `blockgrad0_output` (N, D), `blockgrad1_output` (N,) and the loss (1,). N is
        a multiple of 3 on each device: all anchors, then all positives, then all negatives, in the
        same order.
        """
        unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
        # (N/3, D) each
        anchor, positive, negative = mx.sym.split(unit, axis=0, num_outputs=3)
        to_positive = mx.sym.sum(mx.sym.square(anchor - positive), axis=1)
        to_negative = mx.sym.sum(mx.sym.square(anchor - negative), axis=1)
        loss = mx.sym.mean(mx.sym.relu(to_positive - to_negative + self.triplet_alpha))
        return mx.sym.Group(
            [
                mx.sym.BlockGrad(embedding, name="blockgrad0"),
                mx.sym.BlockGrad(mx.sym.var("softmax_label"), name="blockgrad1"),
                mx.sym.MakeLoss(loss, name="makeloss0"),
            ]
        )

    def metrics(self) -> list[mx.metric.EvalMetric]:
        """The mean loss."""
        return [LossValueMetric()]

    def describe(self, num_classes: int, embedding_size: int) -> list[str]:
        """The range of the loss."""
        return [
            f"expected loss: between 0 and the margin {self.triplet_alpha:g} throughout, because "
            "only such triplets are mined; progress shows as fewer triplets per bag"
        ]
