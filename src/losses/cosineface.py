"""Loss 2: CosineFace (CosFace), Wang et al., arXiv 1801.09414, equation 4."""

import dataclasses
import math
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import require
from src.losses.cosine import CosineLoss


@dataclasses.dataclass(frozen=True)
class CosineFace(CosineLoss):
    """s·(cos θ - m)"""

    number: ClassVar[int] = 2
    title: ClassVar[str] = "CosineFace"
    formula: ClassVar[str] = "s·(cos θ - m)"

    def check(self) -> None:
        """Raises InputError for a scale or margin that the formula is not defined for."""
        super().check()
        require(
            0 <= self.margin_m < math.inf, "--margin-m", self.margin_m, "0 or more, usually 0.35"
        )

    def margin(self, cosine: mx.sym.Symbol) -> mx.sym.Symbol:
        """cos θ - m"""
        return cosine - self.margin_m

    def margin_at_right_angle(self) -> float:
        """-m"""
        return -self.margin_m
