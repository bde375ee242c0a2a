"""The table of benchmarks/margin.py without its measurements, and one small measurement."""

import importlib.util

import pytest


@pytest.fixture
def benchmark(repository):
    path = repository / "benchmarks" / "margin.py"
    spec = importlib.util.spec_from_file_location("margin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "ratio", "status"), [
    ("4 ArcFace", 1.3, 0),
    ("4 ArcFace", 1.31, 1),
    ("1 SphereFace", 2.0, 1),
    ("no margin, normalised", 2.0, 0),
])  # fmt: skip
def test_status_says_whether_every_loss_keeps_to_the_limit(
    benchmark, monkeypatch, capsys, name, ratio, status
):
    def measured(measurement, batch_size, threads):
        return [ratio if measurement == name else 1.0, 100]

    monkeypatch.setattr(benchmark, "measure_apart", measured)
    assert benchmark.main([]) == status
    table = capsys.readouterr().out
    assert ("ABOVE" in table) == bool(status)
    assert len(table.splitlines()) == 1 + len(benchmark.MEASUREMENTS)


def test_every_loss_with_a_margin_is_measured(benchmark):
    losses = {flags["loss_type"] for flags in benchmark.MEASUREMENTS.values()}
    assert losses == {0, 1, 2, 4, 5}


def test_a_measurement_is_of_time_and_memory(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "CLASSES", 20000)
    monkeypatch.setattr(benchmark, "SIZE", 8)
    seconds, megabytes = benchmark.measure("1 SphereFace", 64, times=2)
    assert seconds > 0
    one = 4 * 64 * 20000 / 2**20
    assert 2 * one <= megabytes <= 6 * one
