"""The benchmarks themselves: what they compare, and one small measurement."""

import importlib

import pytest

from src.losses.registry import classification_losses


@pytest.mark.parametrize(
    "name", ["align", "detector_memory", "first_batch", "loader", "margin", "prelu", "workers"]
)
def test_every_benchmark_has_a_limit(name):
    cases = importlib.import_module(name).CASES
    names = {case.name for case in cases}
    assert len(names) == len(cases)
    assert all(case.base in names for case in cases if case.base)
    limited = [case for case in cases if (case.at_least or case.at_most) is not None]
    assert limited
    assert all(case.base for case in limited)


def test_every_loss_with_a_margin_is_measured():
    losses = importlib.import_module("margin").LOSSES
    assert {loss.number for loss in losses.values()} == set(classification_losses())


def test_a_margin_is_measured_in_time_and_memory(monkeypatch):
    margin = importlib.import_module("margin")
    monkeypatch.setattr(margin, "CLASSES", 20000)
    monkeypatch.setattr(margin, "SIZE", 8)
    result = margin.measure(margin.LOSSES["1 SphereFace"], 64, times=1)
    assert result["ms"] > 0
    one = 4 * 64 * 20000 / 2**20
    given = 4 * 8 * (2 * 20000 + 2 * 64) / 2**20
    assert 2 * one <= result["MB"] - given <= 6 * one
