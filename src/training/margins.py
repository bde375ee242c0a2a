"""The losses there are, and their margins as functions of the cosine to the own class."""

import math

from src.common.errors import InputError
from src.common.mxnet_backend import mx

CLASSIFICATION_LOSSES = {
    0: "softmax",
    1: "SphereFace",
    2: "CosineFace",
    4: "ArcFace",
    5: "combined margin",
}
SPHERE_MARGINS = (1, 2, 3, 4)

# Below the smallest 1 - cos² > 0 that float32 knows (about 6e-8): it changes no value, and keeps
# the gradient of the root finite where the sine is 0.
SMALLEST_SINE_SQUARED = 1e-14


def safe_sine(cosine):
    """sqrt(1 - cos²), for any finite cosine; its gradient is 0 where the sine is."""
    # Near 0 and π both factors are exact, which 1 - cos² is not.
    squared = (1.0 - cosine) * (1.0 + cosine)
    return mx.sym.sqrt(mx.sym.maximum(squared, SMALLEST_SINE_SQUARED))


def safe_angle(cosine):
    """arccos, in 0..π, for any finite cosine; its gradient is 0 at both ends and beyond."""
    inside = mx.sym.abs(cosine) < 1.0
    return mx.sym.where(
        inside, mx.sym.arccos(mx.sym.where(inside, cosine, cosine * 0.0)), (cosine < 0.0) * math.pi
    )


def cosine_margin(cosine, margin_m):
    """cos θ - m: CosFace (Wang et al., arXiv 1801.09414, equation 4)."""
    return cosine - margin_m


def arc_margin(cosine, margin_m, easy_margin=False):
    """cos(θ + m): ArcFace (Deng et al., arXiv 1801.07698, equation 3), without an arccos.

    Where θ + m passes π, cos(θ + m) would rise again; there the margin is cos θ - m·sin(π - m).
    With `easy_margin` there is no margin for θ from 90° on.
    """
    shifted = cosine * math.cos(margin_m) - safe_sine(cosine) * math.sin(margin_m)
    if easy_margin:
        return mx.sym.where(cosine > 0.0, shifted, cosine)
    fallback = cosine - margin_m * math.sin(math.pi - margin_m)
    return mx.sym.where(cosine > math.cos(math.pi - margin_m), shifted, fallback)


def combined_margin(cosine, margin_a, margin_m, margin_b):
    """cos(a·θ + m) - b, which the ArcFace paper calls combined (equation 4)."""
    if margin_a == 1.0 and margin_m == 0.0:
        return cosine - margin_b
    return mx.sym.cos(safe_angle(cosine) * margin_a + margin_m) - margin_b


def multiplied_angle(cosine, margin):
    """(-1)^k·cos(mθ) - 2k with k = ⌊mθ/π⌋, for any cosine near -1..1.

    The margin of L-Softmax (Liu et al., arXiv 1612.02295) and A-Softmax (arXiv 1704.08063). It
    falls all the way from 1 at θ = 0 to 1 - 2m at π, as cos(mθ) alone would not. cos(mθ) is
    Chebyshev's polynomial of cos θ, and k counts those of cos(π/m), cos(2π/m) … that are not below
    cos θ: no arccos, and a gradient that is finite everywhere.

    Parameters
    ----------
    cosine : Symbol
    margin : {1, 2, 3, 4}
        m.
    """
    if margin == 1:
        return cosine
    turns = sum(cosine <= math.cos(turn * math.pi / margin) for turn in range(1, margin))
    before, multiplied = cosine, 2.0 * cosine * cosine - 1.0
    for _ in range(2, margin):
        before, multiplied = multiplied, 2.0 * cosine * multiplied - before
    sign = 1.0 - 2.0 * (turns % 2.0)
    return sign * multiplied - 2.0 * turns


def check_margins(loss_type, margin_s, margin_m, margin_a=1.0, margin_b=0.0, margin=4, beta=0.0):
    """InputError for margins outside of what the formulas hold for."""
    if loss_type not in CLASSIFICATION_LOSSES:
        raise InputError(
            f"--loss-type {loss_type}: expected one of "
            + ", ".join(f"{number} ({name})" for number, name in CLASSIFICATION_LOSSES.items())
        )
    if loss_type == 1:
        if margin not in SPHERE_MARGINS:
            raise InputError(f"--margin {margin}: expected 1, 2, 3 or 4, the factor to the angle")
        if not 0 <= beta < math.inf:
            raise InputError(f"--beta {beta}: expected a number from 0 on, 1000 as a rule")
    if loss_type in (0, 1):
        return
    if not 0 < margin_s < math.inf:
        raise InputError(f"--margin-s {margin_s}: expected a scale above 0, 64 as a rule")
    if loss_type == 4 and not 0 <= margin_m < math.pi / 2:
        raise InputError(f"--margin-m {margin_m}: expected an angle in 0..1.57, 0.5 as a rule")
    if loss_type in (2, 5) and not 0 <= margin_m < math.inf:
        usual = "0.35 as a rule" if loss_type == 2 else "an angle"
        raise InputError(f"--margin-m {margin_m}: expected 0 or more, {usual}")
    if loss_type == 5 and not 0 < margin_a < math.inf:
        raise InputError(f"--margin-a {margin_a}: expected a factor above 0")
    if loss_type == 5 and not 0 <= margin_b < math.inf:
        raise InputError(f"--margin-b {margin_b}: expected 0 or more")
