"""Loss 5: the combined margin, Deng et al., arXiv 1801.07698, equation 4."""

import dataclasses
import math
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import require, setting
from src.losses.cosine import RIGHT_ANGLE, CosineLoss


@dataclasses.dataclass(frozen=True)
class Combined(CosineLoss):
    """s·(cos(a·θ + m) - b)"""

    number: ClassVar[int] = 5
    title: ClassVar[str] = "combined margin"
    formula: ClassVar[str] = "s·(cos(aθ + m) - b)"

    margin_a: float = setting(1.0, "factor of the angle")
    margin_b: float = setting(0.0, "margin subtracted from the cosine")

    def check(self) -> None:
        """Raises InputError for a scale or margin that the formula is not defined for."""
        super().check()
        require(0 <= self.margin_m < math.inf, "--margin-m", self.margin_m, "an angle of 0 or more")
        require(0 < self.margin_a < math.inf, "--margin-a", self.margin_a, "a factor above 0")
        require(0 <= self.margin_b < math.inf, "--margin-b", self.margin_b, "0 or more")

    def margin(self, cosine: mx.sym.Symbol) -> mx.sym.Symbol | None:
        """cos(a·θ + m) - b; None if that is cos θ."""
        if (self.margin_a, self.margin_m, self.margin_b) == (1.0, 0.0, 0.0):
            return None
        return combined_margin(cosine, self.margin_a, self.margin_m, self.margin_b)

    def margin_at_right_angle(self) -> float:
        """cos(a·π/2 + m) - b"""
        return math.cos(self.margin_a * RIGHT_ANGLE + self.margin_m) - self.margin_b


def safe_angle(cosine: mx.sym.Symbol) -> mx.sym.Symbol:
    """arccos, in 0..π, for any finite cosine; its gradient is 0 at both ends and beyond."""
    inside = mx.sym.abs(cosine) < 1.0
    return mx.sym.where(
        inside, mx.sym.arccos(mx.sym.where(inside, cosine, cosine * 0.0)), (cosine < 0.0) * math.pi
    )


def combined_margin(
    cosine: mx.sym.Symbol, margin_a: float, margin_m: float, margin_b: float
) -> mx.sym.Symbol:
    """cos(a·θ + m) - b"""
    if margin_a == 1.0 and margin_m == 0.0:
        return cosine - margin_b
    return mx.sym.cos(safe_angle(cosine) * margin_a + margin_m) - margin_b
