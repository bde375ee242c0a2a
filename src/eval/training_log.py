"""What a training log of 2018's form says: speed, metrics, verification, by batch."""

import re
from typing import NamedTuple

import numpy as np

SPEED_LINE = re.compile(r"Epoch\[(\d+)\] Batch \[(\d+)\]\s+Speed: ([\d.]+) samples/sec(.*)")
METRIC = re.compile(r"\t(\w+)=([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))")
INTERVAL = 20  # batches between two speed lines
EPOCH_LINE = re.compile(r"images, (\d+) batches of \d+ an epoch")
VERIFICATION_LINE = re.compile(r"\[([^\]]+)\]\[(\d+)\]Accuracy-Flip: ([\d.]+)\+-([\d.]+)")


class TrainingLog(NamedTuple):
    """`speed` and each entry of `metrics` are (batches (K,), values (K,)); `verification` maps a
    target to (batches, accuracies)."""

    speed: tuple
    metrics: dict
    verification: dict


def _columns(rows):
    return tuple(np.array(column, dtype=float) for column in zip(*rows, strict=True))


def read_training_log(path):
    """The `TrainingLog` of a file.

    Speed lines count batches within their epoch; here they are counted through. Logs of 2018 do not
    say how long an epoch is: the last batch that one shows is taken for it, which is right to
    within one logging interval an epoch.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    speed, metrics, verification = [], {}, {}
    epoch, before, last, epoch_length = 0, 0, 0, None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
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
        _columns(speed) if speed else (np.empty(0), np.empty(0)),
        {name: _columns(rows) for name, rows in metrics.items()},
        {target: _columns(rows) for target, rows in verification.items()},
    )
