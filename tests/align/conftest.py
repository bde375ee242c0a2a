"""The detector, and photos whose faces are known."""

import pytest

from src.align.ladder import Detector


@pytest.fixture(scope="session")
def detector():
    """With the weights of the package `mtcnn`."""
    return Detector.create()


@pytest.fixture(scope="session")
def portrait():
    """uint8 (512, 512, 3) RGB, one face: scikit-image's astronaut, which is in its wheel."""
    from skimage import data

    return data.astronaut()
