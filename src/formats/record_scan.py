"""Reads a .rec from beginning to end without its index, to check and repair data sets."""

import mmap
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from src.common.errors import InputError
from src.formats.recordio import FIRST_PART, MAGIC, WHOLE, Record, decode_record, unpack_payload


class ScannedRecord(NamedTuple):
    """What starts at `offset`: a `record`, or `damage`, the reason why it cannot be read."""

    offset: int
    record: Record | None
    damage: str | None


def scan_records(path: str | os.PathLike[str]) -> Iterator[ScannedRecord]:
    """Yields each record of a .rec in file order.

    After a damaged record it continues at the next place where a record can start.

    Raises
    ------
    InputError
        The file is empty or not a RecordIO file at all.
    """
    if os.path.getsize(path) == 0:
        raise InputError(f"{path} is empty")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != MAGIC and content.find(MAGIC) < 0:
            raise InputError(f"{path} is not a RecordIO file: it does not contain the magic number")
        offset = 0
        while offset < len(content):
            try:
                payload, end = decode_record(lambda at, n: content[at : at + n], offset)
                yield ScannedRecord(offset, unpack_payload(payload), None)
            except ValueError as error:
                yield ScannedRecord(offset, None, str(error))
                end = _next_start(content, offset + 4)
            offset = end


def _next_start(content: mmap.mmap, offset: int) -> int:
    """The first place from `offset` where a record can start, or the length of the file."""
    while True:
        offset = content.find(MAGIC, offset)
        if offset < 0 or offset + 8 > len(content):
            return len(content)
        kind = content[offset + 7] >> 5
        if offset % 4 == 0 and kind in (WHOLE, FIRST_PART):
            return offset
        offset += 1


def records_at(path: str | os.PathLike[str], offsets: Iterable[int]) -> Iterator[Record]:
    """Yields the records that start at these offsets of a .rec; none of them may be damaged."""
    with open(path, "rb") as file:
        descriptor = file.fileno()
        for offset in offsets:
            payload, _ = decode_record(lambda at, n: os.pread(descriptor, n, at), int(offset))
            yield unpack_payload(payload)
