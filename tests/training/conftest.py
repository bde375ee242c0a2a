"""What tests of losses share."""

import numpy as np
import pytest


def central_differences(function, array, step=1e-6):
    """Gradient of a function of nothing that reads `array`, one entry at a time."""
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


@pytest.fixture
def numeric_gradient():
    """`central_differences`."""
    return central_differences
