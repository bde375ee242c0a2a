"""What a face data set's records mean: images, identity ranges, and record 0 that ties them.

Images are records 1..N, grouped by identity. Each identity has a record whose label is
`[first, last + 1]`, the range of its images; record 0 has `[N + 1, N + 1 + C]`, the range of the
identity records.
"""

import array
import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.records import RecordReader, RecordWriter, rebuild_remedy

FACES, PLAIN, HEADERLESS, DAMAGED = "face data set", "plain im2rec", "headerless", "damaged"


class FaceLayout(NamedTuple):
    """Where the images of each identity are.

    `header` (2,) is the label of record 0, `image_ids` the range of image records, and
    `identity_ranges` maps an identity record's number to (first, last + 1) of its images.
    """

    header: tuple
    image_ids: range
    identity_ranges: dict


class LayoutError(InputError):
    """The records are no face data set; `kind` is PLAIN, HEADERLESS or DAMAGED."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def read_layout(reader):
    """The `FaceLayout` of an open `RecordReader`.

    Raises
    ------
    LayoutError
        Says which kind of file it is, and how to mend it.
    """
    header = _read_header(reader)
    first, end = int(header[0]), int(header[1])
    if not 1 < first < end:
        raise LayoutError(
            DAMAGED,
            f"{reader.path}: record 0 says that identities are records {first} to {end - 1}, "
            f"which cannot be; {rebuild_remedy(reader.path)}",
        )
    identity_ranges = {}
    expected = 1
    for identity in range(first, end):
        start, stop = _identity_range(reader, identity)
        if not (start == expected and start < stop <= first):
            raise LayoutError(
                DAMAGED,
                f"{reader.path}: identity record {identity} says images {start} to {stop - 1}, "
                f"expected a range from {expected} that ends before {first}; "
                f"{rebuild_remedy(reader.path)}",
            )
        identity_ranges[identity] = (start, stop)
        expected = stop
    if expected != first:
        raise LayoutError(
            DAMAGED,
            f"{reader.path}: images {expected} to {first - 1} belong to no identity; "
            f"{rebuild_remedy(reader.path)}",
        )
    missing = first - 1 - np.searchsorted(reader.keys, first) + np.searchsorted(reader.keys, 1)
    if missing:
        raise LayoutError(
            DAMAGED,
            f"{reader.path_idx}: {missing} of the {first - 1} images are not in the index; "
            f"{rebuild_remedy(reader.path)}",
        )
    return FaceLayout((first, end), range(1, first), identity_ranges)


def _read_header(reader):
    if not len(reader):
        raise LayoutError(DAMAGED, f"{reader.path_idx} is empty; {rebuild_remedy(reader.path)}")
    try:
        record = reader.read(0)
    except KeyError:
        raise LayoutError(
            HEADERLESS,
            f"{reader.path} is headerless: it has no record 0, as packing that was broken off "
            f"leaves it; {rebuild_remedy(reader.path)}",
        ) from None
    if record.content:
        raise LayoutError(
            PLAIN,
            f"{reader.path} is a plain im2rec file: record 0 is an image, and nothing says which "
            f"images an identity has; if its labels are identities, {rebuild_remedy(reader.path)}",
        )
    if record.flag != 2:
        raise LayoutError(
            DAMAGED,
            f"{reader.path}: record 0 holds {record.flag} numbers, expected 2; "
            f"{rebuild_remedy(reader.path)}",
        )
    if not np.isfinite(record.label).all():
        raise LayoutError(
            DAMAGED,
            f"{reader.path}: record 0 holds {record.label.tolist()}, no numbers of records; "
            f"{rebuild_remedy(reader.path)}",
        )
    return record.label


def _identity_range(reader, identity):
    try:
        record = reader.read(identity)
    except KeyError:
        record = None
    is_range = record and not record.content and record.flag == 2
    if not is_range or not np.isfinite(record.label).all():
        raise LayoutError(
            DAMAGED,
            f"{reader.path}: record {identity} should hold the range of an identity's images, and "
            f"{'is missing' if record is None else 'does not'}; {rebuild_remedy(reader.path)}",
        )
    return int(record.label[0]), int(record.label[1])


def open_face_records(data_dir, name="train"):
    """(reader, layout) of `<data_dir>/<name>.rec`; the caller closes the reader.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such set, or it is not a face data set; says how to mend it.
    """
    if not os.path.isdir(data_dir):
        raise FileNotFoundError(f"{data_dir}: no such folder (expected {name}.rec, .idx, property)")
    reader = RecordReader(os.path.join(data_dir, f"{name}.rec"))
    try:
        return reader, read_layout(reader)
    except InputError:
        reader.close()
        raise


class FaceRecordWriter:
    """Writes a face data set: images first, then what ties them; whole files or none.

    Parameters
    ----------
    path_rec : str or PathLike
        The .rec; the .idx has the same name otherwise.
    header_last : bool
        2018: face2rec2 wrote record 0 before the identity records, dataset_merge after them.

    Attributes
    ----------
    images, identities : int
        How many have been written.
    labels : list of float
        Of the identities, in the order they came.
    new_labels : dict
        From label to label, where `labels` are not 0 … C − 1: then they are numbered anew in
        ascending order when the set is finished, because a class without images cannot be learnt.
        Else empty.
    """

    def __init__(self, path_rec, header_last=False):
        self._writer = RecordWriter(path_rec)
        self._header_last = header_last
        self._starts = []
        self._finished_labels = set()
        self._offsets = array.array("Q")
        self._flag = 0
        self.labels = []
        self.new_labels = {}
        self.images = 0

    @property
    def identities(self):
        return len(self._starts)

    def __enter__(self):
        self._writer.__enter__()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            try:
                self._write_tail()
            except BaseException as tail_error:
                self._writer.__exit__(type(tail_error), tail_error, tail_error.__traceback__)
                raise
        return self._writer.__exit__(kind, error, trace)

    def add_image(self, label, content):
        """Appends an image of the identity that `label` (a number, or [number, aligned]) names.

        Raises
        ------
        InputError
            The identity came before, and another one since: that would make it two.
        """
        identity = float(label) if np.ndim(label) == 0 else float(label[0])
        if not self.labels or identity != self.labels[-1]:
            if identity in self._finished_labels:
                raise InputError(
                    f"label {identity:g} comes again after other labels at image {self.images + 1}:"
                    " the images of an identity must stand together"
                )
            self._finished_labels.add(identity)
            self.labels.append(identity)
            self._starts.append(self.images + 1)
        self.images += 1
        self._flag = 0 if np.ndim(label) == 0 else len(label)
        self._offsets.append(self._writer.write(self.images, label, content))

    def _write_tail(self):
        if not self.images:
            raise InputError(f"{self._writer.path}: there is no image to write")
        self._close_gaps()
        first = self.images + 1
        header = [first, first + self.identities]
        if not self._header_last:
            self._writer.write(0, header)
        for number, start in enumerate(self._starts):
            stop = self._starts[number + 1] if number + 1 < self.identities else first
            self._writer.write(first + number, [start, stop])
        if self._header_last:
            self._writer.write(0, header)

    def _close_gaps(self):
        ascending = sorted(self.labels)
        if ascending == list(range(self.identities)):
            return
        self.new_labels = {label: number for number, label in enumerate(ascending)}
        ends = [*self._starts[1:], self.images + 1]
        for label, start, end in zip(self.labels, self._starts, ends, strict=True):
            if self.new_labels[label] != label:
                for offset in self._offsets[start - 1 : end - 1]:
                    self._writer.change_label(offset, self.new_labels[label], self._flag)
