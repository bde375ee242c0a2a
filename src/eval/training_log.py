"""Reads training logs in 2018's form: speed, metrics and verification, by batch."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.common.text_files import read_lines

# Of at most 9 digits: a batch is a number that float64 represents.
SPEED_LINE = re.compile(
    r"Epoch\[(\d{1,9})\] Batch \[(?:\d+-)?(\d{1,9})\]\s+Speed: (\d+\.?\d*|nan|inf) samples/sec(.*)"
)
METRIC = re.compile(r"\t(\w+)=([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))")
INTERVAL = 20  # batches between two speed lines
EPOCH_LINE = re.compile(r"images, (\d{1,9}) batches of \d+ (?:an|per) epoch")
VERIFICATION_LINE = re.compile(r"\[([^\]]+)\]\[(\d{1,9})\]Accuracy-Flip: (\d+\.?\d*)\+-([\d.]+)")

Row = tuple[int, float]
Columns = tuple[np.ndarray, np.ndarray]
"""Batch numbers (K,) and values (K,), float64."""


class TrainingLog(NamedTuple):
    """The numbers in a training log.

    `speed` is in images/s, `metrics` is by name, and `verification` has the accuracies by target.
    """

    speed: Columns
    metrics: dict[str, Columns]
    verification: dict[str, Columns]


def _columns(rows: Sequence[Row]) -> Columns:
    batches, values = np.array(rows, dtype=float).reshape(-1, 2).T
    return batches, values


def read_training_log(path: str | os.PathLike[str]) -> TrainingLog:
    """The `TrainingLog` of a file.

    Speed lines count batches within their epoch; here batches are counted through the run. 2018's
    logs do not give the length of an epoch: the last batch logged in an epoch is used as its
    length, which is right to within one logging interval per epoch.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    speed: list[Row] = []
    metrics: dict[str, list[Row]] = {}
    verification: dict[str, list[Row]] = {}
    epoch, before, last, epoch_length = 0, 0, 0, None
    for _, line in read_lines(path, "replace"):
        match = EPOCH_LINE.search(line)
        if match:
            epoch_length = int(match[1])
        match = SPEED_LINE.search(line)
        if match:
            if int(match[1]) != epoch:
                epoch = int(match[1])
                before = epoch * epoch_length if epoch_length else last
            previous, last = last, before + int(match[2])
            if not epoch_length:
                last = max(last, previous + INTERVAL)
            speed.append((last, float(match[3])))
            for name, value in METRIC.findall(match[4]):
                metrics.setdefault(name, []).append((last, float(value)))
        match = VERIFICATION_LINE.search(line)
        if match:
            verification.setdefault(match[1], []).append((int(match[2]), float(match[3])))
    return TrainingLog(
        _columns(speed),
        {name: _columns(rows) for name, rows in metrics.items()},
        {target: _columns(rows) for target, rows in verification.items()},
    )
