"""The beginnings of many records at once, as arrays: for sets of millions of records."""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from src.formats.recordio import LENGTH_BITS, MAGIC, WHOLE

# Words of four bytes: magic number, kind and length, flag, label, id, id2, and two labels.
WORDS = 10
RECORDS_AT_A_TIME = 1 << 18
_MAGIC = int.from_bytes(MAGIC, "little")
_PREFIX = 8  # bytes before the payload
_HEADER = 24  # bytes of the payload before labels of a flag


class Headers(NamedTuple):
    """What the first bytes of records say, arrays (N,).

    `is_plain` is whether a record is in one part, with a payload that has all its labels; the other
    values are meaningless where it is not. `flags` is uint32, `ids` uint64, `labels` float32 (N, 2)
    the first two labels, of which a record with flag 0 or 1 has one. `content` is the number of
    bytes after the labels, and `ends` where the next record starts.
    """

    is_plain: np.ndarray
    flags: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    content: np.ndarray
    ends: np.ndarray


def read_headers(path: str | os.PathLike[str], offsets: np.ndarray) -> Headers:
    """The headers of the records that start at these offsets of a .rec, int64 (N,).

    Offsets outside of the file are allowed: such records are not plain.
    """
    parts = list(_blocks(path, np.asarray(offsets, np.int64)))
    return Headers(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _blocks(path: str | os.PathLike[str], offsets: np.ndarray) -> Iterator[Headers]:
    size = os.path.getsize(path)
    words = np.memmap(path, "<u4", "r", shape=(size // 4,)) if size >= 4 else np.zeros(1, "<u4")
    for begin in range(0, max(len(offsets), 1), RECORDS_AT_A_TIME):
        yield _parsed(words, offsets[begin : begin + RECORDS_AT_A_TIME], size)


def _parsed(words: np.ndarray, offsets: np.ndarray, size: int) -> Headers:
    is_inside = (offsets >= 0) & (offsets % 4 == 0) & (offsets <= size - _PREFIX - _HEADER)
    starts = np.where(is_inside, offsets // 4, 0)
    places = starts[:, None] + np.arange(WORDS)
    found = np.asarray(words[np.minimum(places, len(words) - 1)])  # (N, WORDS)
    word, flags = found[:, 1], found[:, 2]
    lengths = (word & ((1 << LENGTH_BITS) - 1)).astype(np.int64)
    content = lengths - _HEADER - 4 * flags.astype(np.int64)
    ends = offsets + _PREFIX + lengths + (-lengths % 4)
    is_plain = is_inside & (found[:, 0] == _MAGIC) & (word >> LENGTH_BITS == WHOLE)
    is_plain &= (content >= 0) & (lengths >= _HEADER) & (ends <= size)
    labels = np.ascontiguousarray(found[:, 8:]).view("<f4").astype(np.float32)
    single = flags == 0
    labels[single, 0] = np.ascontiguousarray(found[single, 3]).view("<f4")
    ids = np.ascontiguousarray(found[:, 4:6]).view("<u8").reshape(-1).astype(np.uint64)
    return Headers(is_plain, flags, ids, labels, content, ends)
