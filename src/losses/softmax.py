"""Loss 0: the plain softmax."""

import dataclasses
import math
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import setting
from src.losses.classification import ClassificationLoss, Inputs


@dataclasses.dataclass(frozen=True)
class Softmax(ClassificationLoss):
    """Logits x·w + b, (N, C); the bias is `fc7_bias` (C,)."""

    number: ClassVar[int] = 0
    title: ClassVar[str] = "softmax"
    formula: ClassVar[str] = "x·w + b"
    lr_steps: ClassVar[tuple[int, ...]] = (40000, 60000, 80000)
    remedy: ClassVar[str] = "use a lower --lr"
    divisible: ClassVar[bool] = True

    fc7_no_bias: bool = setting(False, "no bias")

    @property
    def has_bias(self) -> bool:
        """Unless --fc7-no-bias."""
        return not self.fc7_no_bias

    def logits(self, inputs: Inputs) -> mx.sym.Symbol:
        """x·w + b; see the base class."""
        arrays = [inputs.embedding, inputs.weight]
        settings = {"num_hidden": inputs.num_classes, "name": "fc7"}
        if self.fc7_no_bias:
            return mx.sym.FullyConnected(*arrays, no_bias=True, **settings)
        bias = mx.sym.var("fc7_bias", lr_mult=2.0, wd_mult=0.0)
        return mx.sym.FullyConnected(*arrays, bias, **settings)

    def initial_loss(self, num_classes: int, embedding_size: int) -> float:
        """ln C"""
        return math.log(num_classes)

    def describe(self, num_classes: int, embedding_size: int) -> list[str]:
        """The expected loss and accuracy of an untrained network."""
        return [self._expectation(f"{math.log(num_classes):.2f} (ln {num_classes})", num_classes)]
