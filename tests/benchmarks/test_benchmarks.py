"""The benchmarks themselves: what they compare, and one small measurement."""

import importlib

import pytest

from src.common.mxnet_backend import mx
from src.losses.arcface import ArcFace
from src.losses.base import ClassWeights
from src.losses.registry import classification_losses
from src.training.sharded_classifier import ShardedClassifier


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


@pytest.mark.parametrize("name", ["identification", "merge", "records", "verification"])
def test_every_benchmark_of_fixed_limits_has_one(name):
    cases = importlib.import_module(name).CASES
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.values_at_most or case.at_most or case.commit for case in cases)


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


def test_the_page_about_scale_has_the_table_of_its_program(repository):
    """Memory, arithmetic and exchange are computed again; the times are those of one run."""
    scale_model = importlib.import_module("scale_model")
    page = (repository / "docs" / "scale.md").read_text().splitlines()
    expected = scale_model.rows(None)
    found = [line for line in page if line.startswith("|") and line.count("|") == 9]
    assert [line.rpartition(" | ")[0] + " |" for line in found[2:]] == expected
    sizes = {(line.split(" | ")[0], line.split(" | ")[1]) for line in expected}
    assert len(sizes) == len(scale_model.CLASSES) * len(scale_model.DEVICES) == 16


@pytest.mark.parametrize(
    ("rate", "classes", "devices", "memory", "operations", "exchanged"),
    [
        # class vectors: 4 and momentum; five of logits
        (None, 1000, 8, 4 * (5 * 1000 * 512 + 5 * 64 * 1000), 6 * 64 * 1000 * 512, 0),
        (None, 1000, 16, 4 * (5 * 1000 * 512 + 5 * 64 * 1000), 6 * 64 * 1000 * 512, 8 * 512_000),
        (1.0, 1000, 1, 4 * (2 * 1000 * 512 + 2 * 64 * 1000), 6 * 64 * 1000 * 512, 0),
        (
            1.0, 16_000, 16, 4 * (2 * 1000 * 512 + 2 * 1024 * 1000), 6 * 1024 * 1000 * 512,
            4 * 4 * 1024 * 512 + 2 * 4 * 1024 * 4 * 16,
        ),
        (0.5, 1000, 1, 4 * (2.5 * 1000 * 512 + 2 * 64 * 500), 6 * 64 * 500 * 512, 0),
        (0.1, 1000, 2, 4 * (2 * 500 * 512 + 128 * 512 + 2 * 128 * 128), 6 * 128 * 128 * 512, 0),
    ],
)  # fmt: skip
def test_the_counts_of_the_model(rate, classes, devices, memory, operations, exchanged):
    scale_model = importlib.import_module("scale_model")
    network = scale_model.memory.Memory(0, 0, 0, 0)
    counts = scale_model.Scaled(rate, classes, devices).counts(network)
    assert counts == (memory, operations, exchanged)


def test_the_model_agrees_with_the_classifier():
    scale_model = importlib.import_module("scale_model")
    weights = ClassWeights(1000, 512)
    for rate in (1.0, 0.3):
        devices = [mx.cpu(i) for i in range(4)]
        classifier = ShardedClassifier(ArcFace(), weights, devices, rate)
        scaled = scale_model.Scaled(rate, 1000, 4)
        counts = scaled.counts(scale_model.memory.Memory(0, 0, 0, 0))
        assert counts.memory == classifier.bytes_per_device(64, True)
        assert scaled.own == max(classifier.sizes)
