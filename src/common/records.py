"""Indexed RecordIO files (`train.rec`, `train.idx`): the one reader and writer of their bytes.

A record is the magic number, a word with 3 bits of kind and 29 of length, and the payload, padded
to four bytes. Where the payload itself holds the magic number at a multiple of four, the record is
cut there into parts, so that the magic number at such a place always starts a part. The payload is
24 bytes of header (flag, label, id, id2), `flag` further float32 labels, and the content.
"""

import contextlib
import os
import struct
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.output_files import whole_file

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST_PART, MIDDLE_PART, LAST_PART = range(4)
LENGTH_BITS = 29
HEADER = struct.Struct("<IfQQ")

# Labels and ranges are float32, which counts whole numbers exactly up to here.
LARGEST_EXACT = 1 << 24


class Record(NamedTuple):
    """One record: `label` float32 (1,) or (flag,), `content` bytes, its own `id`, and `flag`."""

    label: np.ndarray
    content: bytes
    id: int
    flag: int


def pack_payload(index, label, content=b""):
    """Payload bytes of a record, as `mx.recordio.pack` gives them.

    Parameters
    ----------
    index : int
        The record's own number.
    label : float or sequence of float
        A number is stored with flag 0, k numbers with flag k.
    content : bytes
        The encoded image; empty for identity records and record 0.

    Raises
    ------
    InputError
        A label that float32 cannot hold exactly.
    """
    labels = np.atleast_1d(np.asarray(label, np.float64))
    if np.any(np.abs(labels) > LARGEST_EXACT):
        raise InputError(
            f"record {index}: label {labels.max():.0f} is above {LARGEST_EXACT}, the largest that "
            "this format (float32) counts exactly: split the set into several"
        )
    if np.ndim(label) == 0:
        return HEADER.pack(0, float(label), index, 0) + content
    return HEADER.pack(len(labels), 0.0, index, 0) + labels.astype("<f4").tobytes() + content


def unpack_payload(payload):
    """The `Record` of a payload; ValueError where it is shorter than its own header says."""
    if len(payload) < HEADER.size:
        raise ValueError(f"{len(payload)} bytes are too few for a record")
    flag, label, index, _ = HEADER.unpack_from(payload)
    if not flag:
        return Record(np.array([label], np.float32), payload[HEADER.size :], index, 0)
    start = HEADER.size + 4 * flag
    if len(payload) < start:
        raise ValueError(f"{len(payload)} bytes are too few for {flag} labels")
    return Record(
        np.frombuffer(payload, "<f4", flag, HEADER.size), payload[start:], index, int(flag)
    )


def _aligned_magic(payload):
    """Positions, multiples of four, at which the payload holds the magic number."""
    positions = []
    found = payload.find(MAGIC)
    while found >= 0:
        # An unaligned find may overlap no aligned one: the magic number's bytes all differ.
        if found % 4 == 0:
            positions.append(found)
        found = payload.find(MAGIC, found + 4 if found % 4 == 0 else found + 1)
    return positions


def encode_record(payload):
    """Bytes in the file for one payload, padded to four."""
    if len(payload) >= 1 << LENGTH_BITS:
        raise InputError(f"a record of {len(payload)} bytes: the format allows {1 << LENGTH_BITS}")
    pieces, start = [], 0
    for position in _aligned_magic(payload):
        kind = MIDDLE_PART if start else FIRST_PART
        pieces += [MAGIC, struct.pack("<I", kind << LENGTH_BITS | position - start)]
        pieces.append(payload[start:position])
        start = position + 4
    kind = LAST_PART if start else WHOLE
    pieces += [MAGIC, struct.pack("<I", kind << LENGTH_BITS | len(payload) - start)]
    pieces += [payload[start:], bytes(-len(payload) % 4)]
    return b"".join(pieces)


def decode_record(read, offset):
    """(payload, end offset) of the record at `offset`; ValueError says how it is damaged.

    Parameters
    ----------
    read : callable
        From (offset, count) to bytes, fewer at the end of the file.
    """
    payload = b""
    expected = (WHOLE, FIRST_PART)
    while True:
        head = read(offset, 8)
        if len(head) < 8:
            raise ValueError("the file ends inside the record")
        if head[:4] != MAGIC:
            raise ValueError("no record starts here")
        word = struct.unpack("<I", head[4:])[0]
        kind, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        if kind not in expected:
            raise ValueError("a part of a record is missing")
        part = read(offset + 8, length)
        if len(part) < length:
            raise ValueError("the file ends inside the record")
        if _aligned_magic(part):
            raise ValueError("its length reaches into the next record")
        payload += part if kind in (WHOLE, FIRST_PART) else MAGIC + part
        offset += 8 + length + (-length % 4)
        if kind in (WHOLE, LAST_PART):
            return payload, offset
        expected = (MIDDLE_PART, LAST_PART)


def read_index(path):
    """(keys, offsets) of a .idx as int64 arrays, sorted by key.

    Raises
    ------
    InputError
        A line that is not `number<TAB>offset`, or a key that appears twice.
    """
    with open(path, "rb") as file:
        words = file.read().split()
    try:
        numbers = np.array(list(map(int, words)), np.int64).reshape(-1, 2)
    except ValueError:
        raise InputError(
            f"{path} is not an index (lines `number<TAB>offset`): {rebuild_remedy(path)}"
        ) from None
    numbers = numbers[np.argsort(numbers[:, 0], kind="stable")]
    keys, offsets = numbers[:, 0].copy(), numbers[:, 1].copy()
    twice = np.flatnonzero(np.diff(keys) == 0)
    if len(twice):
        raise InputError(f"{path} lists record {keys[twice[0]]} twice: {rebuild_remedy(path)}")
    return keys, offsets


def rebuild_remedy(path):
    """How to mend a data set, as an imperative; `path` is any file of it."""
    folder = os.path.dirname(os.fspath(path)) or "."
    return f"rebuild it with: python -m src.data.dataset_info {folder} --rebuild NEW_FOLDER"


class RecordReader:
    """Random access to `<prefix>.rec` by way of `<prefix>.idx`; safe for threads and forks.

    Parameters
    ----------
    path_rec : str or PathLike
        The .rec; the .idx has the same name otherwise.

    Attributes
    ----------
    keys : ndarray of int64
        All record numbers, ascending.
    offsets : ndarray of int64
        Where each of them starts in the .rec.

    Raises
    ------
    FileNotFoundError
        Either file is missing; the message says how to mend it.
    """

    def __init__(self, path_rec):
        self.path = os.fspath(path_rec)
        self.path_idx = os.path.splitext(self.path)[0] + ".idx"
        if not os.path.isfile(self.path):
            raise FileNotFoundError(f"{self.path}: no such records (face2rec2 makes them)")
        if not os.path.isfile(self.path_idx):
            raise FileNotFoundError(
                f"{self.path_idx}: the index of the records is missing; {rebuild_remedy(self.path)}"
            )
        self.keys, self.offsets = read_index(self.path_idx)
        # A bare descriptor: the iterators of 2018's interface are never told to close.
        self._descriptor = os.open(self.path, os.O_RDONLY)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def __len__(self):
        return len(self.keys)

    def __contains__(self, index):
        position = np.searchsorted(self.keys, index)
        return position < len(self.keys) and self.keys[position] == index

    def __del__(self):
        self.close()

    def close(self):
        descriptor, self._descriptor = getattr(self, "_descriptor", None), None
        if descriptor is not None:
            os.close(descriptor)

    def offset(self, index):
        """Where the record starts in the .rec; KeyError for an unknown one."""
        position = np.searchsorted(self.keys, index)
        if position == len(self.keys) or self.keys[position] != index:
            raise KeyError(index)
        return int(self.offsets[position])

    def read(self, index):
        """The `Record` of that number; raises as `read_idx`."""
        try:
            return unpack_payload(self.read_idx(index))
        except ValueError as error:
            raise self._damaged(index, error) from None

    def read_idx(self, index):
        """The payload of that record, as `mx.recordio.MXIndexedRecordIO.read_idx` gives it.

        Raises
        ------
        KeyError
            The index does not know it.
        InputError
            The index points at no whole record.
        """
        offset = self.offset(index)
        descriptor = self._descriptor
        if descriptor is None:
            raise RuntimeError(f"{self.path} is closed")
        try:
            return decode_record(lambda at, n: os.pread(descriptor, n, at), offset)[0]
        except (ValueError, OSError) as error:
            raise self._damaged(index, error) from None

    def _damaged(self, index, error):
        if isinstance(error, InputError):
            return error
        return InputError(
            f"{self.path}: record {index} is damaged at byte {self.offset(index)} ({error}); "
            f"{rebuild_remedy(self.path)}"
        )


class RecordWriter:
    """Writes `<prefix>.rec` and `<prefix>.idx`, which appear only when all of it is written.

    Use as a context manager. Records are written in the order of the calls.

    Parameters
    ----------
    path_rec : str or PathLike
        The .rec; the .idx has the same name otherwise.
    """

    def __init__(self, path_rec):
        self.path = os.fspath(path_rec)
        self.path_idx = os.path.splitext(self.path)[0] + ".idx"
        self._files = contextlib.ExitStack()

    def __enter__(self):
        # The .idx is opened first and so renamed last: an index never lacks its records.
        self._idx = self._files.enter_context(whole_file(self.path_idx))
        self._rec = self._files.enter_context(whole_file(self.path))
        self._offset = 0
        return self

    def __exit__(self, kind, *exception):
        if kind is None:
            # Killed between the two renames, the new records would be left with an old index.
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path_idx)
        return self._files.__exit__(kind, *exception)

    def write(self, index, label, content=b""):
        """Appends a record and returns its offset; parameters as for `pack_payload`."""
        encoded = encode_record(pack_payload(index, label, content))
        offset = self._offset
        self._idx.write(b"%d\t%d\n" % (index, offset))
        self._rec.write(encoded)
        self._offset += len(encoded)
        return offset

    def change_label(self, offset, label, flag):
        """Replaces the (first) label of the record at `offset`, which has that flag."""
        # After magic number and length; a label of flag 0 is the header's second field.
        self._rec.seek(offset + 8 + (HEADER.size if flag else 4))
        self._rec.write(struct.pack("<f", label))
        self._rec.seek(self._offset)
