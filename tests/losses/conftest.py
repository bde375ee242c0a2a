"""Fixtures of the tests of losses."""

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.registry import create


def build_head(flags, classes, size, trained=False, **multipliers):
    """The graph of a loss from `embedding` (N, size); `flags` has its number and settings."""
    loss = create(flags["loss_type"], flags)
    return loss.head(mx.sym.var("embedding"), ClassWeights(classes, size, **multipliers), trained)


def central_differences(function, array, step=1e-6):
    """Gradient of `function()`, which reads `array`, with respect to each entry of `array`."""
    gradient = np.empty_like(array)
    for index in np.ndindex(*array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        below = function()
        array[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


@pytest.fixture(scope="session")
def make_head():
    """`build_head`."""
    return build_head


@pytest.fixture
def numeric_gradient():
    """`central_differences`."""
    return central_differences
