"""The table of benchmarks/prelu.py, without its measurements."""

import importlib.util

import pytest


@pytest.fixture
def benchmark(repository):
    spec = importlib.util.spec_from_file_location("prelu", repository / "benchmarks" / "prelu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def speeds_with(benchmark, training, inference):
    """Speeds in which the rewritten graphs are so many times as fast as the stock ones."""
    speeds = dict.fromkeys(benchmark.MEASUREMENTS, 10.0)
    speeds["training rewritten"] *= training
    speeds["inference rewritten"] *= inference
    return speeds


@pytest.mark.parametrize(
    ("training", "inference", "status"), [(5.0, 2.3, 0), (4.9, 3.0, 1), (6.0, 2.2, 1)]
)
def test_status_says_whether_every_limit_is_reached(
    benchmark, monkeypatch, capsys, training, inference, status
):
    speeds = speeds_with(benchmark, training, inference)
    monkeypatch.setattr(benchmark, "measure_apart", lambda name, size, threads: speeds[name])
    assert benchmark.main([]) == status
    table = capsys.readouterr().out
    assert ("BELOW" in table) == bool(status)
    assert len(table.splitlines()) == 1 + len(benchmark.MEASUREMENTS)
