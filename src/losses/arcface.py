"""Loss 4: ArcFace, Deng et al., arXiv 1801.07698, equation 3."""

import dataclasses
import math
from typing import ClassVar

from src.common.mxnet_backend import mx
from src.losses.base import require, setting
from src.losses.cosine import RIGHT_ANGLE, CosineLoss

# Smaller than any positive 1 - cos² in float32 (about 6e-8): it changes no value, but keeps the
# gradient of the root finite if the sine is 0.
SMALLEST_SINE_SQUARED = 1e-14


@dataclasses.dataclass(frozen=True)
class ArcFace(CosineLoss):
    """s·cos(θ + m)"""

    number: ClassVar[int] = 4
    title: ClassVar[str] = "ArcFace"
    formula: ClassVar[str] = "s·cos(θ + m)"

    easy_margin: int = setting(0, "1: no margin beyond 90°")

    def check(self) -> None:
        """Raises InputError for a scale or margin that the formula is not defined for."""
        super().check()
        require(
            0 <= self.margin_m < RIGHT_ANGLE,
            "--margin-m",
            self.margin_m,
            "an angle in 0..1.57, usually 0.5",
        )

    def margin(self, cosine: mx.sym.Symbol) -> mx.sym.Symbol:
        """cos(θ + m), see `arc_margin`."""
        return arc_margin(cosine, self.margin_m, bool(self.easy_margin))

    def margin_at_right_angle(self) -> float:
        """cos(π/2 + m)"""
        return math.cos(RIGHT_ANGLE + self.margin_m)


def safe_sine(cosine: mx.sym.Symbol) -> mx.sym.Symbol:
    """sqrt(1 - cos²) for any finite cosine; its gradient is 0 if the sine is 0."""
    # Near 0 and π both factors are exact, unlike 1 - cos².
    squared = (1.0 - cosine) * (1.0 + cosine)
    return mx.sym.sqrt(mx.sym.maximum(squared, SMALLEST_SINE_SQUARED))


def arc_margin(cosine: mx.sym.Symbol, margin_m: float, easy_margin: bool = False) -> mx.sym.Symbol:
    """cos(θ + m) without an arccos.

    If θ + m exceeds π, cos(θ + m) would rise again, so it is replaced by cos θ - m·sin(π - m). With
    `easy_margin` there is no margin for θ above 90°.
    """
    shifted = cosine * math.cos(margin_m) - safe_sine(cosine) * math.sin(margin_m)
    if easy_margin:
        return mx.sym.where(cosine > 0.0, shifted, cosine)
    fallback = cosine - margin_m * math.sin(math.pi - margin_m)
    return mx.sym.where(cosine > math.cos(math.pi - margin_m), shifted, fallback)
