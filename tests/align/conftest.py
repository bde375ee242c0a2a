"""The detector."""

import pytest

from src.align.detector import MtcnnDetector


@pytest.fixture(scope="session")
def detector():
    """With the weights of the package `mtcnn`."""
    return MtcnnDetector.create()
