"""SphereFace's beta, batch by batch."""

import math

import numpy as np
import pytest

from src.common.errors import InputError
from src.losses.sphereface import BETA, MANY_CLASSES, SphereFace


def annealed(start, minimum, freeze, gamma, power):
    return SphereFace(beta=start, beta_min=minimum, beta_freeze=freeze, gamma=gamma, power=power)


def beta(loss, step):
    values = loss.step_values(step)
    assert list(values) == list(loss.step_inputs) == [BETA]
    return values[BETA]


def betas_of_2018(steps, beta, beta_min, freeze, gamma, power):
    """Beta of each batch, step by step: after a batch it is set for the next one."""
    current, seen = beta, []
    for finished in range(1, steps + 1):
        seen.append(current)
        if finished <= freeze:
            current = beta
        else:
            current = max(beta_min, beta * (1 + gamma * (finished - freeze)) ** (-power))
    return seen


@pytest.mark.parametrize(
    "flags",
    [
        (1000.0, 5.0, 0, 0.12, 1.0),
        (1000.0, 5.0, 30, 0.12, 1.0),
        (100.0, 3.0, 7, 0.5, 2.0),
        (5.0, 5.0, 0, 0.12, 1.0),
        (1000.0, 0.0, 0, 0.0, 1.0),
    ],
)
def test_beta_is_that_of_2018(flags):
    loss = annealed(*flags)
    expected = betas_of_2018(4000, *flags)
    got = [beta(loss, step) for step in range(1, 4001)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_beta_is_frozen_for_some_batches():
    loss = annealed(1000.0, 5.0, 2, 1.0, 1.0)
    assert [beta(loss, step) for step in (1, 2, 3, 4, 5)] == [1000, 1000, 1000, 500, 1000 / 3]
    assert beta(loss, 10**9) == 5.0


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_invalid_annealing_settings_raise_errors(place, value):
    flags = [1000.0, 5.0, 0, 0.12, 1.0]
    flags[place] = value
    named = ("--beta ", "--beta-min", "--beta-freeze", "--gamma", "--power")[place]
    with pytest.raises(InputError, match=named):
        annealed(*flags)


def test_the_annealing_is_described_before_the_start():
    lines = annealed(1000.0, 5.0, 5000, 0.06, 1.0).describe(85, 8)
    assert lines[0] == "SphereFace's beta 1000, falling to no less than 5 from batch 5002 on"


def test_a_beta_below_its_minimum_rises():
    """2018 accepted it, and --beta 1 gives it with the other defaults."""
    loss = annealed(1.0, 5.0, 3, 0.12, 1.0)
    assert [beta(loss, step) for step in (1, 4, 5, 6)] == [1.0, 1.0, 5.0, 5.0]
    assert loss.describe(85, 8)[0] == "SphereFace's beta 1, then 5, its minimum, from batch 5 on"


def test_many_classes_change_the_annealing_as_in_2018(caplog):
    loss = annealed(1000.0, 5.0, 0, 0.12, 1.0)
    assert loss.for_classes(MANY_CLASSES) is loss
    caplog.set_level("INFO")
    many = loss.for_classes(MANY_CLASSES + 1)
    assert many == annealed(1000.0, 5.0, 5000, 0.06, 1.0)
    (line,) = caplog.messages
    assert "more than 20000 classes: --beta-freeze is 5000 and --gamma 0.06" in line
