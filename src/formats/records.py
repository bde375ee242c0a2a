"""Indexed RecordIO files (`train.rec`, `train.idx`): the reader and the writer."""

import codecs
import contextlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import BinaryIO

import numpy as np

from src.common.errors import InputError
from src.common.output_files import flush_to_disk, whole_file
from src.formats.record_headers import Headers, read_headers
from src.formats.recordio import (
    HEADER,
    Record,
    decode_record,
    encode_record,
    pack_payload,
    unpack_payload,
)

INDEX_BLOCK = 1 << 22  # bytes of an index that are parsed at once
LARGEST_NUMBER = np.iinfo(np.int64).max


def read_index(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """(keys, offsets) of a .idx as int64 arrays, sorted by key.

    Raises
    ------
    InputError
        A line that is not `number<TAB>offset`, or a key that appears twice.
    """
    with open(path, "rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(INDEX_BLOCK), b"")) + 1
        keys, offsets = np.empty(lines, np.int64), np.empty(lines, np.int64)
        file.seek(0)
        count = 0
        try:
            for numbers in _number_blocks(file):
                pairs = numbers.reshape(-1, 2)
                keys[count : count + len(pairs)], offsets[count : count + len(pairs)] = pairs.T
                count += len(pairs)
        except ValueError:
            raise InputError(
                f"{path} is not an index (lines `number<TAB>offset` of numbers below 2^63): "
                f"{rebuild_remedy(path)}"
            ) from None
    keys, offsets = keys[:count], offsets[:count]
    if not np.all(keys[1:] > keys[:-1]):
        order = np.argsort(keys, kind="stable")
        keys, offsets = keys[order], offsets[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise InputError(f"{path} lists record {keys[twice[0]]} twice: {rebuild_remedy(path)}")
    return keys, offsets


def _number_blocks(file: BinaryIO) -> Iterator[np.ndarray]:
    """The numbers of a text, int64, in blocks of whole lines; ValueError for anything else."""
    rest = b""
    is_first = True
    while block := file.read(INDEX_BLOCK):
        whole, newline, rest_of_block = (rest + block).rpartition(b"\n")
        text, rest = whole + newline, rest_of_block
        yield _numbers(text.removeprefix(codecs.BOM_UTF8) if is_first else text)
        is_first = is_first and not text
    yield _numbers(rest.removeprefix(codecs.BOM_UTF8) if is_first else rest)


def _numbers(text: bytes) -> np.ndarray:
    """The numbers of a text, int64; ValueError for anything else."""
    text = text.strip()
    if not text:
        return np.empty(0, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # of a text that has other things
        try:
            numbers = np.fromstring(text, np.int64, sep=" ")
        except DeprecationWarning as warning:
            raise ValueError(str(warning)) from None
    if np.any(numbers == LARGEST_NUMBER):  # also stands for all that are larger
        raise ValueError("a number is too large")
    return numbers


def rebuild_remedy(path: str | os.PathLike[str]) -> str:
    """How to repair a data set, for a message; `path` is any file of it."""
    folder = os.path.dirname(os.fspath(path)) or "."
    return f"rebuild it with: python -m src.data.dataset_info {folder} --rebuild NEW_FOLDER"


class RecordReader:
    """Random access to `<prefix>.rec` through `<prefix>.idx`; safe for threads and forks.

    Parameters
    ----------
    path_rec
        The .rec; the .idx next to it has the same name.

    Attributes
    ----------
    keys
        All record numbers, int64, ascending.
    offsets
        Where each of them starts in the .rec, int64.

    Raises
    ------
    FileNotFoundError
        Either file is missing; the message says how to repair the set.
    """

    _descriptor: int | None

    def __init__(self, path_rec: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path_rec)
        self.path_idx = os.path.splitext(self.path)[0] + ".idx"
        if not os.path.isfile(self.path):
            raise FileNotFoundError(f"{self.path}: no such records; create them with face2rec2")
        if not os.path.isfile(self.path_idx):
            raise FileNotFoundError(
                f"{self.path_idx}: the index of the records is missing; {rebuild_remedy(self.path)}"
            )
        self.keys, self.offsets = read_index(self.path_idx)
        # A bare descriptor: nobody closes the iterators of 2018's interface.
        self._descriptor = os.open(self.path, os.O_RDONLY)

    def __enter__(self) -> "RecordReader":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, index: int) -> bool:
        position = np.searchsorted(self.keys, index)
        return bool(position < len(self.keys) and self.keys[position] == index)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; reading is then an error."""
        descriptor, self._descriptor = getattr(self, "_descriptor", None), None
        if descriptor is not None:
            os.close(descriptor)

    def offset(self, index: int) -> int:
        """Where the record starts in the .rec; KeyError for an unknown one."""
        position = np.searchsorted(self.keys, index)
        if position == len(self.keys) or self.keys[position] != index:
            raise KeyError(index)
        return int(self.offsets[position])

    def headers(self, first: int, stop: int) -> Headers:
        """The headers of records [first, stop), of which all must be in the index."""
        begin, end = np.searchsorted(self.keys, (first, stop))
        if end - begin != stop - first:
            raise KeyError(f"records {first} to {stop - 1}")
        return read_headers(self.path, self.offsets[begin:end])

    def first_labels(self, indices: np.ndarray) -> np.ndarray:
        """The first label of each record, float32 (N,); raises the errors of `read_idx`."""
        indices = np.asarray(indices, np.int64)
        if not len(self.keys):
            raise KeyError(f"records {indices}")
        places = np.minimum(np.searchsorted(self.keys, indices), len(self.keys) - 1)
        known = self.keys[places] == indices
        found = read_headers(self.path, self.offsets[places])
        labels = found.labels[:, 0].copy()
        for place in np.flatnonzero(~(known & found.is_plain)):
            labels[place] = self.read(int(indices[place])).label[0]
        return labels

    def read(self, index: int) -> Record:
        """The record of that number; raises the errors of `read_idx`."""
        try:
            return unpack_payload(self.read_idx(index))
        except ValueError as error:
            raise self._damaged(index, error) from None

    def read_idx(self, index: int) -> bytes:
        """The payload of that record, as from `mx.recordio.MXIndexedRecordIO.read_idx`.

        Raises
        ------
        KeyError
            It is not in the index.
        InputError
            There is no complete record at the offset in the index.
        """
        offset = self.offset(index)
        descriptor = self._descriptor
        if descriptor is None:
            raise RuntimeError(f"{self.path} is closed")
        try:
            return decode_record(lambda at, n: os.pread(descriptor, n, at), offset)[0]
        except (ValueError, OSError) as error:
            raise self._damaged(index, error) from None

    def _damaged(self, index: int, error: Exception) -> InputError:
        if isinstance(error, InputError):
            return error
        return InputError(
            f"{self.path}: record {index} is damaged at byte {self.offset(index)} ({error}); "
            f"{rebuild_remedy(self.path)}"
        )


class RecordWriter:
    """Writes `<prefix>.rec` and `<prefix>.idx`, which only appear when both are complete.

    Use as a context manager. Records are written in the order of the calls.

    Parameters
    ----------
    path_rec
        The .rec; the .idx next to it has the same name.
    keep
        Whether to leave the unfinished records when they are interrupted; see `whole_file`.
    """

    def __init__(self, path_rec: str | os.PathLike[str], keep: bool = False) -> None:
        self.path = os.fspath(path_rec)
        self.path_idx = os.path.splitext(self.path)[0] + ".idx"
        self._keep = keep
        self._files = contextlib.ExitStack()

    def __enter__(self) -> "RecordWriter":
        # The .idx is opened first and so renamed last: there is never an index without records.
        self._idx = self._files.enter_context(whole_file(self.path_idx))
        self._rec = self._files.enter_context(whole_file(self.path, keep=self._keep))
        self._files.push(self._before_renaming)
        self._offset = self._checksum = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._files.__exit__(kind, error, trace)

    def _before_renaming(self, kind: type[BaseException] | None, *_: object) -> None:
        """Removes an old index once the new files are on the disk.

        A kill between the two renames must not leave an old index with new records.
        """
        if kind is None:
            flush_to_disk(self._rec)
            flush_to_disk(self._idx)
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path_idx)

    def write(self, index: int, label: float | Sequence[float], content: bytes = b"") -> int:
        """Appends a record and returns its offset; parameters as for `pack_payload`."""
        encoded = encode_record(pack_payload(index, label, content))
        offset = self._offset
        self._idx.write(b"%d\t%d\n" % (index, offset))
        self._rec.write(encoded)
        self._offset += len(encoded)
        self._checksum = zlib.crc32(encoded, self._checksum)
        return offset

    def written(self) -> tuple[int, int]:
        """Flushes the file; (end of the records so far, CRC-32 of those since the last call)."""
        self._rec.flush()
        checksum, self._checksum = self._checksum, 0
        return self._offset, checksum

    def change_label(self, offset: int, label: float, flag: int) -> None:
        """Replaces the first label of the record at `offset`; `flag` is the record's."""
        # After magic number and length; a label of flag 0 is the header's second field.
        self._rec.seek(offset + 8 + (HEADER.size if flag else 4))
        self._rec.write(struct.pack("<f", label))
        self._rec.seek(self._offset)
