"""Where the images of each identity are in the records of a face data set.

`src.formats.face_records` describes these records.
"""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.formats.large_sets import exact_bounds
from src.formats.recordio import LARGEST_EXACT
from src.formats.records import RecordReader, rebuild_remedy

LARGEST_ARRAY_INDEX = 1 << 62

FACES, PLAIN, HEADERLESS, DAMAGED = "face data set", "plain im2rec", "headerless", "damaged"


class FaceLayout(NamedTuple):
    """Where the images of each identity are.

    `header` is the label of record 0, `image_ids` the range of image records, and `identity_ranges`
    maps the number of an identity record to (first, last + 1) of its images.
    """

    header: tuple[int, int]
    image_ids: range
    identity_ranges: "IdentityRanges"


class IdentityRanges(Mapping[int, tuple[int, int]]):
    """Number of an identity record → (first, last + 1) of its images, in two arrays.

    Parameters
    ----------
    first
        Number of the first identity record.
    starts, stops
        int64 (C,)
    """

    def __init__(self, first: int, starts: np.ndarray, stops: np.ndarray) -> None:
        self.first, self.starts, self.stops = first, starts, stops

    def __getitem__(self, identity: int) -> tuple[int, int]:
        place = identity - self.first
        if not 0 <= place < len(self.starts):
            raise KeyError(identity)
        return int(self.starts[place]), int(self.stops[place])

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.first + len(self.starts)))

    def __repr__(self) -> str:
        return repr(dict(self))


class LayoutError(InputError):
    """The records are not a face data set; `kind` is PLAIN, HEADERLESS or DAMAGED."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_layout(reader: RecordReader) -> FaceLayout:
    """The layout of an open file.

    Raises
    ------
    LayoutError
        It is another kind of file, or damaged; the message suggests a fix.
    """
    header = _read_header(reader)
    first, end = int(header[0]), int(header[1])
    if not 1 < first < end:
        raise _damaged(
            reader, f"record 0 gives {first} to {end - 1} as the identity records, an invalid range"
        )
    if header[1] >= LARGEST_EXACT:
        try:
            (first, end), starts, stops = exact_bounds(reader, header)
        except ValueError as error:
            raise _damaged(reader, f"{error} (its ranges are rounded above 2^24)") from None
    else:
        starts, stops = _all_ranges(reader, first, end)
    expected = np.append(1, stops[:-1])
    wrong = np.flatnonzero((starts != expected) | (starts >= stops) | (stops > first))
    if len(wrong):
        place = wrong[0]
        raise _damaged(
            reader,
            f"identity record {first + place} gives images {starts[place]} to {stops[place] - 1}, "
            f"expected a range that starts at {expected[place]} and ends before {first}",
        )
    if stops[-1] != first:
        raise _damaged(reader, f"images {stops[-1]} to {first - 1} belong to no identity")
    missing = first - 1 - np.searchsorted(reader.keys, first) + np.searchsorted(reader.keys, 1)
    if missing:
        raise _damaged(
            reader, f"{missing} of the {first - 1} images are not in the index {reader.path_idx}"
        )
    return FaceLayout((first, end), range(1, first), IdentityRanges(first, starts, stops))


def _damaged(reader: RecordReader, problem: str) -> LayoutError:
    """The error for damaged records, with the remedy."""
    return LayoutError(DAMAGED, f"{reader.path}: {problem}; {rebuild_remedy(reader.path)}")


def _read_header(reader: RecordReader) -> np.ndarray:
    """The label of record 0, two finite numbers."""
    if not len(reader):
        raise _damaged(reader, f"the index {reader.path_idx} is empty")
    try:
        record = reader.read(0)
    except KeyError:
        raise LayoutError(
            HEADERLESS,
            f"{reader.path} is headerless: it has no record 0, probably because packing was "
            f"interrupted; {rebuild_remedy(reader.path)}",
        ) from None
    if record.content:
        raise LayoutError(
            PLAIN,
            f"{reader.path} is a plain im2rec file: record 0 is an image, and no record gives the "
            f"images of each identity; if its labels are identities, {rebuild_remedy(reader.path)}",
        )
    if record.flag != 2:
        raise _damaged(reader, f"record 0 has {record.flag} numbers, expected 2")
    if not np.isfinite(record.label).all():
        raise _damaged(reader, f"record 0 has {record.label.tolist()}, expected record numbers")
    return record.label


def _all_ranges(reader: RecordReader, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """(first, last + 1) of the images of each identity record in [first, end), int64 arrays."""
    present = np.searchsorted(reader.keys, (first, end))
    if present[1] - present[0] == end - first:
        found = reader.headers(first, end)
        usual = found.is_plain & (found.content == 0) & (found.flags == 2)
        if usual.all() and np.all(np.abs(found.labels) < LARGEST_ARRAY_INDEX):  # not NaN either
            starts, stops = found.labels.astype(np.int64).T
            return starts, stops
    # something is unusual: one by one, so that an error names the record
    ranges = [_identity_range(reader, identity) for identity in range(first, end)]
    return np.array([start for start, _ in ranges]), np.array([stop for _, stop in ranges])


def _identity_range(reader: RecordReader, identity: int) -> tuple[int, int]:
    """(first, last + 1) of an identity's images, as its record gives them."""
    try:
        record = reader.read(identity)
    except KeyError:
        raise _damaged(reader, f"identity record {identity} is missing") from None
    if record.content or record.flag != 2 or not np.isfinite(record.label).all():
        raise _damaged(reader, f"identity record {identity} does not contain a range of images")
    return int(record.label[0]), int(record.label[1])


def check_own_labels(reader: RecordReader, layout: FaceLayout) -> None:
    """InputError if two identity records have images of one label, which would be two people.

    2018's face2rec2 wrote such records for a list that was not grouped by label.
    """
    ranges = layout.identity_ranges
    labels = reader.first_labels(ranges.starts)
    order = np.argsort(labels, kind="stable")
    again = np.flatnonzero(labels[order][1:] == labels[order][:-1])
    if len(again):
        # the first record that repeats an earlier one, as when they are read in order
        one, other = min((order[place : place + 2] for place in again), key=lambda pair: pair[1])
        raise InputError(
            f"{reader.path}: identity records {ranges.first + one} and {ranges.first + other} both "
            f"have label {labels[one]:g}, so one person would count as two; "
            f"{rebuild_remedy(reader.path)}"
        )


def open_face_records(
    data_dir: str | os.PathLike[str], name: str = "train"
) -> tuple[RecordReader, FaceLayout]:
    """(reader, layout) of `<data_dir>/<name>.rec`; the caller closes the reader.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such set, or it is not a face data set; the message suggests a fix.
    """
    if not os.path.isdir(data_dir):
        raise FileNotFoundError(f"{data_dir}: no such folder (expected {name}.rec, .idx, property)")
    reader = RecordReader(os.path.join(data_dir, f"{name}.rec"))
    try:
        return reader, read_layout(reader)
    except InputError:
        reader.close()
        raise
