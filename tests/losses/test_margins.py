"""Margins as functions of the cosine: value and derivative against the formulas in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.mxnet_backend import mx
from src.losses.arcface import arc_margin, safe_sine
from src.losses.combined import combined_margin, safe_angle
from src.losses.cosineface import CosineFace
from src.losses.sphereface import multiplied_angle

COSINE = mx.sym.var("cosine")
NEAR_ONE = np.nextafter(np.float32(1), np.float32(0))


def literal_arc(angle, m):
    """(value, derivative by the angle) of cos(θ + m) and of what replaces it beyond π - m."""
    beyond = angle >= math.pi - m
    value = np.where(beyond, np.cos(angle) - m * math.sin(m), np.cos(angle + m))
    return value, -np.where(beyond, np.sin(angle), np.sin(angle + m))


def literal_easy_arc(angle, m):
    steep = np.cos(angle) > 0
    value = np.where(steep, np.cos(angle + m), np.cos(angle))
    return value, -np.where(steep, np.sin(angle + m), np.sin(angle))


def literal_combined(angle, a, m, b):
    return np.cos(a * angle + m) - b, -a * np.sin(a * angle + m)


def literal_multiplied(angle, m):
    turns = np.minimum(np.floor(angle * m / math.pi), m - 1)
    sign = (-1) ** turns
    return sign * np.cos(m * angle) - 2 * turns, -sign * m * np.sin(m * angle)


# The symbol, and its formula as a function of the angle.
MARGINS = {
    "cosine": (CosineFace(margin_m=0.35).margin(COSINE), lambda t: (np.cos(t) - 0.35, -np.sin(t))),
    "arc": (arc_margin(COSINE, 0.5), lambda t: literal_arc(t, 0.5)),
    "arc 1.2": (arc_margin(COSINE, 1.2), lambda t: literal_arc(t, 1.2)),
    "arc, easy": (arc_margin(COSINE, 0.5, easy_margin=True), lambda t: literal_easy_arc(t, 0.5)),
    "all": (combined_margin(COSINE, 0.9, 0.4, 0.15), lambda t: literal_combined(t, 0.9, 0.4, 0.15)),
    "a": (combined_margin(COSINE, 1.35, 0.0, 0.0), lambda t: literal_combined(t, 1.35, 0.0, 0.0)),
    "m": (combined_margin(COSINE, 1.0, 0.5, 0.0), lambda t: literal_combined(t, 1.0, 0.5, 0.0)),
    "b": (combined_margin(COSINE, 1.0, 0.0, 0.35), lambda t: literal_combined(t, 1.0, 0.0, 0.35)),
    "a, b": (combined_margin(COSINE, 0.8, 0.0, 0.1), lambda t: literal_combined(t, 0.8, 0.0, 0.1)),
    "m, b": (combined_margin(COSINE, 1.0, 0.3, 0.2), lambda t: literal_combined(t, 1.0, 0.3, 0.2)),
    "angle": (safe_angle(COSINE), lambda t: (t, np.ones_like(t))),
    "sine": (safe_sine(COSINE), lambda t: (np.sin(t), np.cos(t))),
    **{
        f"times {m}": (multiplied_angle(COSINE, m), lambda t, m=m: literal_multiplied(t, m))
        for m in (1, 2, 3, 4)
    },
}  # fmt: skip

# Both ends, all borders of segments kπ/m and angles next to them, and angles in between.
SMALL = [1e-4, 3e-4, 1e-3, 1e-2]
BORDERS = [math.pi * k / m for m in (2, 3, 4) for k in range(1, m)]
ANGLES = np.array(
    [0.0, math.pi, *SMALL, *(math.pi - angle for angle in SMALL), *BORDERS]
    + [border + offset for border in BORDERS for offset in (-1e-3, 1e-3)]
    + [math.pi - 0.5 - 1e-3, math.pi - 0.5 + 1e-3]
    + list(np.linspace(0.05, 3.1, 60))
)


def evaluate(symbol, cosines):
    """(value, derivative) of a symbol of `cosine` at each of `cosines`."""
    array, gradient = mx.nd.array(cosines), mx.nd.zeros(len(cosines))
    executor = symbol.bind(mx.cpu(), {"cosine": array}, {"cosine": gradient})
    executor.forward(is_train=True)
    executor.backward(mx.nd.ones(len(cosines)))
    return executor.outputs[0].asnumpy(), gradient.asnumpy()


@pytest.mark.parametrize("name", MARGINS)
def test_value_and_derivative_are_those_of_the_formula(name):
    symbol, formula = MARGINS[name]
    cosines = np.cos(ANGLES).astype(np.float32)
    value, slope = evaluate(symbol, cosines)
    angle = np.arccos(cosines.astype(np.float64))  # of the cosine as rounded to float32
    wanted, by_angle = formula(angle)
    np.testing.assert_allclose(value, wanted, atol=2e-6)
    assert np.isfinite(slope).all()
    inside = np.sin(angle) > 0  # d/dcos θ = d/dθ / -sin θ
    wanted_slope = by_angle[inside] / -np.sin(angle[inside])
    # If the sine is small, the slope is large, and float32 rounds the sine by about 1e-7.
    tolerance = 2e-5 * np.maximum(1, np.abs(wanted_slope)) + 1e-7 / np.sin(angle[inside]) ** 2
    assert (np.abs(slope[inside] - wanted_slope) <= tolerance).all()


@pytest.mark.parametrize("name", MARGINS)
def test_derivatives_are_the_slopes_of_the_values(name):
    """The formulas' own derivatives, which the test above relies on, by finite differences."""
    formula = MARGINS[name][1]
    angles = ANGLES[np.sin(ANGLES) > 0.001]
    angles = angles[np.abs(angles - math.pi / 2) > 1e-6]  # the easy margin jumps there
    step = 1e-7
    numeric = (formula(angles + step)[0] - formula(angles - step)[0]) / (2 * step)
    np.testing.assert_allclose(formula(angles)[1], numeric, atol=1e-5)


def test_cosines_outside_the_range_are_treated_as_its_ends():
    """Cosines that are outside of -1..1 because of rounding."""
    cosines = np.array([1 + 1e-6, -1 - 1e-6, 1.0, -1.0, NEAR_ONE, -NEAR_ONE], np.float32)
    inside = np.clip(cosines.astype(np.float64), -1, 1)
    for name, (symbol, formula) in MARGINS.items():
        value, slope = evaluate(symbol, cosines)
        np.testing.assert_allclose(value, formula(np.arccos(inside))[0], atol=3e-5, err_msg=name)
        assert np.isfinite(slope).all(), name


@pytest.mark.parametrize("margin", [2, 3, 4])
def test_segments_meet_at_their_borders(margin):
    borders = math.pi * np.arange(1, margin) / margin
    for offset in (-1e-4, 0.0, 1e-4):
        value, slope = evaluate(multiplied_angle(COSINE, margin), np.cos(borders + offset))
        np.testing.assert_allclose(value, 1 - 2 * np.arange(1, margin), atol=2e-6)
        assert (np.abs(slope) < 0.02).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
)
def test_no_finite_cosine_gives_nan(cosines):
    for symbol in (safe_angle(COSINE), arc_margin(COSINE, 0.5)):
        for result in evaluate(symbol, np.array(cosines, np.float32)):
            assert not np.isnan(result).any()


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1.5), st.sampled_from([2, 3, 4]), st.floats(0.0, 3.14))
def test_no_margin_rises_with_the_angle(arc, factor, angle):
    """So turning towards the class never increases the loss."""
    cosines = np.cos([angle, min(angle + 0.01, np.pi)])
    for symbol in (arc_margin(COSINE, arc), multiplied_angle(COSINE, factor)):
        values, _ = evaluate(symbol, cosines)
        assert values[1] <= values[0] + 2e-6
