"""Fixtures that all tests share."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository():
    """Path of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared():
    """Path of the folder `shared` beside the checkout: reference numbers, photographs, a model."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("the reference folder ../shared is not here: parity is NOT checked")
    return path
