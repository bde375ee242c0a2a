"""The harness of the benchmarks: order, ratios, limits, earlier commits."""

import importlib
import subprocess
import sys

import pytest


@pytest.fixture
def harness():
    return importlib.import_module("harness")


@pytest.mark.parametrize(
    ("limits", "value", "status"),
    [
        ({"at_least": 2.0}, 20.0, 0),
        ({"at_least": 2.0}, 19.9, 1),
        ({"at_most": 0.4}, 4.0, 0),
        ({"at_most": 0.4}, 4.1, 1),
        ({}, 1.0, 0),
    ],
)
def test_the_exit_status_shows_whether_every_limit_is_met(
    harness, monkeypatch, capsys, limits, value, status
):
    values = {"old": 10.0, "new": value}
    monkeypatch.setattr(
        harness, "measure_apart", lambda case, *_: {"x/s": values[case.name], "MB": 5.0}
    )
    cases = [harness.Case("old", print), harness.Case("new", print, base="old", **limits)]
    assert harness.main("script.py", "doc", cases, []) == status
    head, old, new = capsys.readouterr().out.splitlines()
    assert head.split() == ["threads", "x/s", "ratio", "MB", "ratio", "limit"]
    assert old.split() == ["old", "1", "10", "5"]
    assert new.split()[:5] == ["new", "1", f"{value:.4g}", f"{value / 10:.2f}", "5"]
    assert ("MISSED" in new) == bool(status)


@pytest.mark.parametrize(("better", "expected"), [(max, 3.0), (min, 1.0)])
def test_the_best_of_several_rounds_counts(harness, better, expected):
    rounds = [{"a": 2.0, "b": 7.0}, {"a": 3.0, "b": 8.0}, {"a": 1.0, "b": 9.0}]
    best = harness.best_of({"case": rounds}, better)["case"]
    assert best["a"] == expected
    assert best == next(result for result in rounds if result["a"] == expected)


SCRIPT = """
import os
import sys

import harness
import src.common

CASES = [
    harness.Case("here", lambda args: {"s": float(args.size), "threads": threads()}),
    harness.Case("there", lambda args: {"s": float(args.size), "threads": threads()}, base="here",
                 at_most=1.0, threads=3, commit="HEAD"),
]


def threads():
    print("noise", src.common.__file__, file=sys.stderr)
    print("noise on stdout")
    with open(os.environ["SEEN"], "a") as file:
        file.write(src.common.__file__ + "\\n")
    return float(os.environ["OMP_NUM_THREADS"])


size = lambda parser: parser.add_argument("--size", default=1)
sys.exit(harness.main(__file__, __doc__, CASES, add_arguments=size))
"""


def test_cases_run_in_turn_in_processes_with_the_requested_source(repository, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {
        "PYTHONPATH": f"{repository / 'benchmarks'}:{repository}",
        "SEEN": str(tmp_path / "seen"),
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, str(tmp_path / "script.py"), "--size", "4", "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    _, here, there = done.stdout.splitlines()
    assert here.split() == ["here", "1", "4", "1"]
    assert there.split() == ["there", "3", "4", "1.00", "3", "3.00", "≤", "1"]
    seen = (tmp_path / "seen").read_text().splitlines()
    own = str(repository / "src/common/__init__.py")
    assert [line == own for line in seen] == [True, False, True, False]


def test_a_failing_measurement_shows_its_error(repository, tmp_path):
    (tmp_path / "script.py").write_text(
        "import sys, harness\n"
        "def fail(args):\n    raise ValueError('the reason')\n"
        "sys.exit(harness.main(__file__, '', [harness.Case('a', fail)]))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env={"PYTHONPATH": str(repository / "benchmarks"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "ValueError: the reason" in done.stderr


def test_a_limit_needs_a_base_that_exists(harness):
    with pytest.raises(ValueError, match="a: its base '' is not one of"):
        harness.main("script.py", "doc", [harness.Case("a", print, at_most=1.0)], [])
    with pytest.raises(ValueError, match="a: its base 'b' is not one of"):
        harness.main("script.py", "doc", [harness.Case("a", print, base="b")], [])


def test_a_result_that_is_not_finite_is_an_error(harness):
    with pytest.raises(ValueError, match="case: x/s is"):
        harness.best_of({"case": [{"x/s": 1.0}, {"x/s": float("nan")}]}, max)


def test_there_is_at_least_one_round(harness, capsys):
    with pytest.raises(SystemExit):
        harness.main("script.py", "doc", [harness.Case("a", print)], ["--rounds", "0"])
    assert "--rounds 0: expected at least 1" in capsys.readouterr().err


def test_a_ratio_to_nothing(harness):
    assert harness.ratio_of(0, 0) == 1
    assert harness.ratio_of(2, 0) == float("inf")
    assert harness.ratio_of(1, 4) == 0.25
