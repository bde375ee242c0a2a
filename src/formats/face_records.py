"""The records of a face data set: images, the image range of each identity, and record 0.

Images are records 1..N, grouped by identity. Each identity has a record whose label is
`[first, last + 1]`, the range of its images; record 0 has `[N + 1, N + 1 + C]`, the range of the
identity records.
"""

import array
import os
from collections.abc import Sequence
from types import TracebackType

import numpy as np

from src.common.errors import InputError
from src.formats.recordio import LARGEST_EXACT
from src.formats.records import RecordWriter


def check_count(images: int, identities: int, source: str) -> None:
    """InputError for a data set that would be too large to write, before any work is done.

    Parameters
    ----------
    source
        What the images come from, for the message.
    """
    if images + identities + 1 > LARGEST_EXACT:
        raise InputError(
            f"{source}: {images} images and {identities} identities are too many for one data set: "
            f"ranges of images are float32, which is exact up to {LARGEST_EXACT}; divide it into "
            "several sets"
        )


class FaceRecordWriter:
    """Writes a face data set: the images, then the identity records and record 0.

    Use as a context manager. The files only appear when they are complete.

    Parameters
    ----------
    path_rec
        The .rec; the .idx next to it has the same name.
    header_last
        Write record 0 after the identity records, not before them. 2018: face2rec2 wrote it before,
        dataset_merge after.
    keep
        As for `RecordWriter`.

    Attributes
    ----------
    images, identities
        Number written so far.
    labels
        Of the identities, in the order in which they were added.
    new_labels
        Old label → new label if `labels` are not 0 … C − 1, else empty. The labels are then
        renumbered in ascending order at the end, because a class without images cannot be learnt.
    """

    def __init__(
        self, path_rec: str | os.PathLike[str], header_last: bool = False, keep: bool = False
    ) -> None:
        self._writer = RecordWriter(path_rec, keep)
        self._header_last = header_last
        self._starts: list[int] = []
        self._finished_labels: set[float] = set()
        self._offsets = array.array("Q")
        self._flag = 0
        self.labels: list[float] = []
        self.new_labels: dict[float, int] = {}
        self.images = 0

    def written(self) -> tuple[int, int]:
        """See `RecordWriter.written`."""
        return self._writer.written()

    @property
    def identities(self) -> int:
        """Number of identities written so far."""
        return len(self._starts)

    def __enter__(self) -> "FaceRecordWriter":
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if kind is None:
            try:
                self._write_tail()
            except BaseException as tail_error:
                self._writer.__exit__(type(tail_error), tail_error, tail_error.__traceback__)
                raise
        return self._writer.__exit__(kind, error, trace)

    def add_image(self, label: float | Sequence[float], content: bytes) -> None:
        """Appends an image.

        Parameters
        ----------
        label
            The identity's label, or [label, aligned].
        content
            The encoded image.

        Raises
        ------
        InputError
            Images of the identity were added before those of another one.
        """
        identity = float(np.ravel(label)[0])
        if not self.labels or identity != self.labels[-1]:
            if identity in self._finished_labels:
                raise InputError(
                    f"image {self.images + 1} has label {identity:g} again, after other labels; "
                    "the images of an identity must be consecutive"
                )
            self._finished_labels.add(identity)
            self.labels.append(identity)
            self._starts.append(self.images + 1)
        self.images += 1
        self._flag = 0 if np.ndim(label) == 0 else np.size(label)
        self._offsets.append(self._writer.write(self.images, label, content))

    def _write_tail(self) -> None:
        """Writes the identity records and record 0."""
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

    def _close_gaps(self) -> None:
        """Renumbers the labels of the written images if they are not 0 … C − 1."""
        ascending = sorted(self.labels)
        if ascending == list(range(self.identities)):
            return
        self.new_labels = {label: number for number, label in enumerate(ascending)}
        ends = [*self._starts[1:], self.images + 1]
        for label, start, end in zip(self.labels, self._starts, ends, strict=True):
            if self.new_labels[label] != label:
                for offset in self._offsets[start - 1 : end - 1]:
                    self._writer.change_label(offset, self.new_labels[label], self._flag)
