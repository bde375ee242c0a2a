"""Shared by the benchmarks: cases measured in turn, each in its own process, and a table.

A benchmark is a list of `Case`s and a call of `main`. All cases are measured in turn, `--rounds`
times, because machines are noisy; the best result of each counts. The table shows the ratio of a
case to its base, and the exit status is 1 if a ratio is outside of its limit.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]

Result = dict[str, float]
"""Measured values by column; the first is compared with the limit and decides which is best."""


class Case(NamedTuple):
    """One line of the table.

    `measure` takes the command line and returns a `Result`. `base` is the name of the case that it
    is compared with; `at_least` and `at_most` limit the ratio to it. `threads` is the number of
    OpenMP threads; None means `--threads`. With a `commit`, `src` of that commit is imported.
    `others_at_most` limits the ratios of further columns, and `values_at_most` values themselves.
    """

    name: str
    measure: Callable[[argparse.Namespace], Result]
    base: str = ""
    at_least: float | None = None
    at_most: float | None = None
    threads: int | None = None
    commit: str = ""
    others_at_most: Mapping[str, float] = {}
    values_at_most: Mapping[str, float] = {}


def shortest(function: Callable[[], object], times: int, untimed: int = 1) -> float:
    """Seconds of the fastest of some calls, after one or more that are not timed."""
    for _ in range(untimed):
        function()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def training_rate(module: Any, batch_size: int, classes: int, times: int) -> Result:
    """Faces/s through forward, backward and update of a bound module of 112×112 pixels."""
    import mxnet as mx  # of the commit that is measured

    settings = {"learning_rate": 0.001, "momentum": 0.9, "rescale_grad": 1 / batch_size}
    module.init_optimizer(optimizer="sgd", optimizer_params=settings)
    random = np.random.RandomState(0)
    images = mx.nd.array(random.randint(0, 256, (batch_size, 3, 112, 112)))
    batch = mx.io.DataBatch([images], [mx.nd.array(random.randint(0, classes, batch_size))])

    def step() -> None:
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()

    return {"faces/s": batch_size / shortest(step, times)}


def main(
    script: str,
    description: str | None,
    cases: Sequence[Case],
    argv: Sequence[str] | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], object] | None = None,
    better: Callable[[list[float]], float] = max,
    rounds: int = 2,
) -> int:
    """Runs a benchmark; returns the exit status.

    Parameters
    ----------
    script, description
        The benchmark's file and docstring.
    add_arguments
        Adds the benchmark's own flags, which are passed to `measure`.
    better
        `max` if the first column is a rate, `min` if it is a time.
    """
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="runs per case; the best counts")
    parser.add_argument("--threads", type=int, default=1, help="OpenMP threads")
    parser.add_argument("--measure", choices=[c.name for c in cases], help=argparse.SUPPRESS)
    if add_arguments:
        add_arguments(parser)
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds}: expected at least 1")
    check(cases)
    if args.measure:
        (case,) = (case for case in cases if case.name == args.measure)
        print(json.dumps(case.measure(args)))
        return 0
    results: dict[str, list[Result]] = {case.name: [] for case in cases}
    with tempfile.TemporaryDirectory() as work:
        for _ in range(args.rounds):
            for case in cases:
                source = source_of(case.commit, Path(work))
                result = measure_apart(case, script, argv, case.threads or args.threads, source)
                results[case.name].append(result)
    return 0 if print_table(cases, best_of(results, better), args.threads) else 1


def check(cases: Sequence[Case]) -> None:
    """Raises ValueError for a limit without a base, or a base that is not a case."""
    names = [case.name for case in cases]
    for case in cases:
        limited = case.at_least is not None or case.at_most is not None
        if (limited and not case.base) or (case.base and case.base not in names):
            raise ValueError(f"{case.name}: its base {case.base!r} is not one of {names}")


def source_of(commit: str, work: Path) -> Path:
    """A folder with `src`: this checkout, or a copy of the given commit in `work`."""
    if not commit:
        return REPOSITORY
    folder = work / commit
    if not folder.exists():
        command = ["git", "archive", commit, "src"]
        done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
    return folder


def measure_apart(
    case: Case, script: str, argv: Sequence[str], threads: int, source: Path
) -> Result:
    """The result of one case, measured in a new process."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(source), str(REPOSITORY / "benchmarks")]),
    }
    command = [sys.executable, script, *argv, "--measure", case.name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{case.name}: {' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best_of(
    results: dict[str, list[Result]], better: Callable[[list[float]], float]
) -> dict[str, Result]:
    """The best result of each case, by its first column."""
    best = {}
    for name, of_case in results.items():
        column = next(iter(of_case[0]))
        values = [result[column] for result in of_case]
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"{name}: {column} is {values}")
        best[name] = of_case[values.index(better(values))]
    return best


def print_table(cases: Sequence[Case], results: dict[str, Result], threads: int) -> bool:
    """Prints values, ratios and limits; returns whether every ratio is within its limit."""
    columns = list(results[cases[0].name])
    width = max(len(case.name) for case in cases) + 2
    heads = "".join(f"{column:>12}{'ratio':>8}" for column in columns)
    print(f"{'':{width}}{'threads':>8}{heads}{'limit':>9}")
    all_met = True
    for case in cases:
        line = f"{case.name:{width}}{case.threads or threads:>8}"
        ratios = []
        for column in columns:
            value = results[case.name][column]
            line += f"{value:>12,.4g}" if value < 1000 else f"{value:>12,.0f}"
            ratios.append(ratio_of(value, results[case.base][column]) if case.base else 1.0)
            line += f"{ratios[-1]:>8.2f}" if case.base else f"{'':>8}"
        met = within(case, ratios[0]) and not exceeded(
            case, results[case.name], dict(zip(columns, ratios, strict=True))
        )
        all_met = all_met and met
        if case.at_least is not None:
            line += f"{f'≥ {case.at_least:g}':>9}"
        if case.at_most is not None:
            line += f"{f'≤ {case.at_most:g}':>9}"
        line += "".join(f"  {name} ≤ {most:g}×" for name, most in case.others_at_most.items())
        line += "".join(f"  {name} ≤ {most:g}" for name, most in case.values_at_most.items())
        print(line + ("" if met else "  MISSED"))
    return all_met


def ratio_of(value: float, base: float) -> float:
    """The ratio; 1 if both are 0."""
    if base == 0:
        return 1.0 if value == 0 else math.inf
    return value / base


def exceeded(case: Case, values: Result, ratios: Result) -> list[str]:
    """The columns whose ratio or value is above its limit."""
    return [name for name, most in case.others_at_most.items() if ratios[name] > most] + [
        name for name, most in case.values_at_most.items() if values[name] > most
    ]


def within(case: Case, ratio: float) -> bool:
    """Whether a case's ratio is within its limits."""
    return (case.at_least is None or ratio >= case.at_least) and (
        case.at_most is None or ratio <= case.at_most
    )
