"""Benchmarks are scripts, so their folder must be on the path."""

import pytest


@pytest.fixture(autouse=True)
def _benchmarks_on_path(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
