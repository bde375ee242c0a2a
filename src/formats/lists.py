"""List files (`train.lst`): one photo per line, an aligned face or a photo with landmarks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError

# Pixels, the largest side of a JPEG. A crop is allocated as large as its box, so there is a limit.
LARGEST_COORDINATE = 1 << 16

# Of int64. Packing renumbers the labels 0, 1, … if there are gaps between them.
LARGEST_LABEL = (1 << 63) - 1


class ListLine(NamedTuple):
    """The fields of a list line.

    `bbox` is int32 (4,) or None, `landmark` float64 (5, 2) or None, and `aligned` is 1 for a face
    that is already aligned.
    """

    image_path: str
    label: int
    bbox: np.ndarray | None
    landmark: np.ndarray | None
    aligned: int


def parse_lst_line(line: str) -> ListLine:
    """The fields of a list line.

    The fields are separated by tabs: aligned flag, path, label; then optionally the box; then
    optionally five landmark x and five landmark y. A line of MXNet's im2rec, see `is_im2rec_line`,
    is an aligned face.

    Raises
    ------
    InputError
        The line has another form. The message quotes it; callers add the file and line number.
    """
    fields = line.strip().split("\t")
    if is_im2rec_line(line):
        fields = ["1", fields[-1], _im2rec_label(line, fields[1:-1])]
    if len(fields) not in (3, 7, 17):
        raise InputError(
            f"list line {line.strip()!r}: expected 3, 7 or 17 fields between tabs "
            f"(aligned path label [x1 y1 x2 y2 [10 landmark numbers]]), got {len(fields)}"
        )
    try:
        aligned, label = int(fields[0]), int(fields[2])
        numbers = np.array([float(field) for field in fields[3:]])
    except ValueError as error:
        raise InputError(f"list line {line.strip()!r}: {error}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"list line {line.strip()!r}: a coordinate is not a finite number")
    if np.abs(numbers).max(initial=0) > LARGEST_COORDINATE:
        raise InputError(
            f"list line {line.strip()!r}: a coordinate is above {LARGEST_COORDINATE} pixels"
        )
    if abs(label) > LARGEST_LABEL or "\0" in fields[1]:
        raise InputError(
            f"list line {line.strip()!r}: expected a label up to {LARGEST_LABEL}, and a path "
            "without NUL"
        )
    bbox = numbers[:4].astype(np.int32) if len(fields) > 3 else None
    landmark = numbers[4:].reshape(2, 5).T.copy() if len(fields) > 7 else None
    return ListLine(fields[1], label, bbox, landmark, aligned)


def is_im2rec_line(line: str) -> bool:
    """Whether a line is in the order of MXNet's im2rec: number, label or labels, path.

    Its label is written as 4.000000. A path that is a number is only recognised in our own order.
    """
    fields = line.strip().split("\t")
    numbers, path = fields[:-1], fields[-1]
    return (
        len(numbers) > 1
        and numbers[0].isdecimal()
        and all(map(_is_number, numbers))
        and not _is_number(path)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _im2rec_label(line: str, labels: Sequence[str]) -> str:
    """The label as an integer; InputError if there are several, or it is not a whole number."""
    if len(labels) > 1:
        raise InputError(
            f"list line {line.strip()!r}: a line of im2rec with {len(labels)} labels; a face has "
            "one, its identity: keep that column only (number, label, path)"
        )
    label = float(labels[0])
    if not label.is_integer():  # also infinite, and not a number
        raise InputError(
            f"list line {line.strip()!r}: label {labels[0]} of an im2rec list is not an identity "
            "(0, 1, …)"
        )
    return str(int(label))


def format_aligned_line(path: str, label: int) -> str:
    """List line of an aligned face, without a newline: `1<TAB>path<TAB>label`."""
    return f"1\t{_checked_path(path)}\t{int(label):d}"


def format_unaligned_line(
    path: str,
    label: int,
    bbox: Sequence[float] | np.ndarray,
    landmark: np.ndarray,
    spell: Callable[[float], str] = "{:f}".format,
) -> str:
    """List line of a photo that still has to be aligned, without a newline.

    Parameters
    ----------
    bbox
        Four numbers, written as integers.
    landmark
        (5, 2)
    spell
        Formats a coordinate.
    """
    corners = "\t".join(f"{int(value):d}" for value in bbox)
    coordinates = "\t".join(spell(value) for value in np.asarray(landmark).T.ravel())
    return f"0\t{_checked_path(path)}\t{int(label):d}\t{corners}\t{coordinates}"


def _checked_path(path: str) -> str:
    """The path; InputError if it contains a character that would break a list line."""
    if any(character in path for character in "\t\n\r"):
        raise InputError(
            f"{path!r}: a name with a tab or newline cannot be written to a list; rename it"
        )
    return path
