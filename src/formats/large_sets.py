"""Sets of more than 2^24 records, whose ranges are rounded because they are float32.

2018's format stores the range of each identity's images as two float32 numbers, and so do record 0
and the sets that others wrote in it, such as Glint360K (17 million images). The true bounds are
next to the rounded ones: where the label of the images changes, and where the images end.
"""

import numpy as np

from src.formats.recordio import LARGEST_EXACT
from src.formats.records import RecordReader


def largest_error(numbers: np.ndarray) -> np.ndarray:
    """How far float32 numbers, (N,), can be from the integers that they stand for.

    2^24 itself may be a rounded 2^24 + 1.
    """
    numbers = np.asarray(numbers, np.float32)
    return np.where(numbers >= LARGEST_EXACT, np.spacing(numbers) / 2, 0).astype(np.int64)


def exact_bounds(
    reader: RecordReader, header: np.ndarray
) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """(label of record 0, first and last + 1 of each identity's images), without rounding.

    Adjacent identities must have different labels.

    Parameters
    ----------
    header
        The label of record 0 as it is stored.

    Raises
    ------
    ValueError
        The records do not fit their rounded ranges; the message says which.
    """
    first = _first_identity(reader, float(header[0]))
    end = int(reader.keys[-1]) + 1
    if abs(end - float(header[1])) > largest_error(header[1:])[0] or not 1 < first < end:
        raise ValueError(f"record 0 gives {header[1]:.0f} as the end, the index {end}")
    found = reader.headers(first, end)
    if not np.all(found.is_plain & (found.content == 0) & (found.flags == 2)):
        raise ValueError(f"not all of records {first} to {end - 1} are identity records")
    stops = _changes(reader, found.labels[:, 1], first)
    starts = np.append(1, stops[:-1])
    off = np.abs(starts - found.labels[:, 0]) > largest_error(found.labels[:, 0])
    if off.any() or np.any(starts >= stops):
        raise ValueError("the ranges of identities do not follow each other")
    return (first, end), starts, stops


def _first_identity(reader: RecordReader, rounded: float) -> int:
    """The number of the first record without content near the one that record 0 gives."""
    error = int(largest_error(np.array([rounded]))[0])
    begin = max(int(rounded) - error - 1, 1)
    try:
        content = reader.headers(begin, int(rounded) + error + 1).content
    except KeyError:
        raise ValueError(
            f"records near {rounded:.0f}, the end of the images, are missing"
        ) from None
    others = np.flatnonzero(content == 0)
    if not len(others) or others[0] == 0 or np.any(content[others[0] :]):
        raise ValueError(f"the images do not end near record {rounded:.0f}, as record 0 says")
    return begin + int(others[0])


def _changes(reader: RecordReader, rounded: np.ndarray, first: int) -> np.ndarray:
    """The first record after each identity's images, int64 (C,), given them rounded."""
    errors = largest_error(rounded)
    is_exact = errors == 0
    exact = rounded[is_exact].astype(np.int64)
    inexact = rounded[~is_exact][:-1].astype(np.int64)  # the last is the end of the images
    last = first if not is_exact.all() else int(rounded[-1])
    around = int(errors.max(initial=0))
    near = np.unique(np.add.outer(inexact, np.arange(-around - 1, around + 1)).ravel())
    near = near[(near >= 1) & (near < first)]
    labels = reader.first_labels(near)
    differ = (np.diff(near) == 1) & (labels[1:] != labels[:-1])
    changes = near[1:][differ]
    changes = changes[changes > (exact[-1] if len(exact) else 1)]
    if len(changes) != len(inexact) or np.any(np.abs(changes - inexact) > around):
        raise ValueError(
            f"{len(changes)} changes of the label near the {len(inexact)} rounded bounds of ranges"
        )
    return np.concatenate([exact, changes, [last]] if not is_exact.all() else [exact])
