"""Encodes and decodes one record of a RecordIO file.

A record is the magic number, a word with 3 bits of kind and 29 of length, and the payload, padded
to a multiple of four bytes. If the payload contains the magic number at a multiple of four, the
record is split into parts there, so at such a position the magic number always starts a part. The
payload is a header of 24 bytes (flag, label, id, id2), `flag` further float32 labels, and the
content.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST_PART, MIDDLE_PART, LAST_PART = range(4)
LENGTH_BITS = 29
FIRST_PIECE = 1 << 16  # bytes read at once: a face of 112×112 has about 10 kB
HEADER = struct.Struct("<IfQQ")

# Labels and ranges are float32, which represents integers exactly up to here.
LARGEST_EXACT = 1 << 24


class Record(NamedTuple):
    """One record: `label` is float32 (1,) or (flag,), `id` the number of the record."""

    label: np.ndarray
    content: bytes
    id: int
    flag: int


def pack_payload(index: int, label: float | Sequence[float], content: bytes = b"") -> bytes:
    """Payload bytes of a record, equal to those of `mx.recordio.pack`.

    Parameters
    ----------
    index
        Number of the record.
    label
        A number is stored with flag 0, k numbers with flag k.
    content
        The encoded image; empty for identity records and record 0.

    Raises
    ------
    InputError
        float32 cannot represent a label exactly.
    """
    labels = np.atleast_1d(np.asarray(label, np.float64))
    if np.any(np.abs(labels) > LARGEST_EXACT):
        raise InputError(
            f"record {index}: label {labels.max():.0f} is above {LARGEST_EXACT}, the largest "
            "integer that the format (float32) represents exactly; split the data set"
        )
    if np.ndim(label) == 0:
        return HEADER.pack(0, float(labels[0]), index, 0) + content
    return HEADER.pack(len(labels), 0.0, index, 0) + labels.astype("<f4").tobytes() + content


def unpack_payload(payload: bytes) -> Record:
    """The record in a payload; ValueError if it is shorter than its header requires."""
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


def aligned_magic(payload: bytes) -> list[int]:
    """Positions at a multiple of four where the payload contains the magic number."""
    positions = []
    found = payload.find(MAGIC)
    while found >= 0:
        # An unaligned match cannot overlap an aligned one: the magic number's bytes all differ.
        if found % 4 == 0:
            positions.append(found)
        found = payload.find(MAGIC, found + 4 if found % 4 == 0 else found + 1)
    return positions


def encode_record(payload: bytes) -> bytes:
    """The bytes of a payload's record in the file, padded to a multiple of four."""
    if len(payload) >= 1 << LENGTH_BITS:
        raise InputError(
            f"a record of {len(payload)} bytes: the format allows fewer than {1 << LENGTH_BITS}"
        )
    pieces, start = [], 0
    for position in aligned_magic(payload):
        kind = MIDDLE_PART if start else FIRST_PART
        pieces += [MAGIC, struct.pack("<I", kind << LENGTH_BITS | position - start)]
        pieces.append(payload[start:position])
        start = position + 4
    kind = LAST_PART if start else WHOLE
    pieces += [MAGIC, struct.pack("<I", kind << LENGTH_BITS | len(payload) - start)]
    pieces += [payload[start:], bytes(-len(payload) % 4)]
    return b"".join(pieces)


def _read_part(read: Callable[[int, int], bytes], offset: int, length: int) -> list[bytes]:
    """The content of the part at `offset`, in pieces; ValueError if there is less.

    A damaged length ends at the first piece that shows it, so a file of damaged lengths does not
    take time proportional to the square of its size.
    """
    pieces: list[bytes] = []
    size, done = FIRST_PIECE, 0
    while done < length:
        piece = read(offset + 8 + done, min(size, length - done))
        if len(piece) < min(size, length - done):
            raise ValueError("the file ends inside the record")
        # `done` is a multiple of four, so no aligned match crosses the end of a piece.
        if _has_aligned_magic(piece):
            raise ValueError("its length reaches into the next record")
        pieces.append(piece)
        done += len(piece)
        size *= 4
    return pieces


def _has_aligned_magic(piece: bytes) -> bool:
    found = piece.find(MAGIC)
    while found >= 0 and found % 4:
        found = piece.find(MAGIC, found + 1)
    return found >= 0


def decode_record(read: Callable[[int, int], bytes], offset: int) -> tuple[bytes, int]:
    """(payload, end offset) of the record at `offset`; ValueError if it is damaged.

    Parameters
    ----------
    read
        Returns `count` bytes at an offset, fewer at the end of the file.
    """
    parts: list[bytes] = []
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
        parts += [b"" if kind in (WHOLE, FIRST_PART) else MAGIC, *_read_part(read, offset, length)]
        offset += 8 + length + (-length % 4)
        if kind in (WHOLE, LAST_PART):
            return b"".join(parts), offset
        expected = (MIDDLE_PART, LAST_PART)
