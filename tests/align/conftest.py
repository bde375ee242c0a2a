"""The detector, and a network port."""

import socket

import pytest

from src.align.detector import MtcnnDetector


@pytest.fixture(scope="session")
def detector():
    """With the weights of the package `mtcnn`."""
    return MtcnnDetector.create()


@pytest.fixture
def free_port():
    """A port of this machine that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
