"""Reading a .rec from its first byte to its last, without an index: to check and to mend it."""

import mmap
import os
from typing import NamedTuple

from src.common.errors import InputError
from src.common.records import FIRST_PART, MAGIC, WHOLE, Record, decode_record, unpack_payload


class ScannedRecord(NamedTuple):
    """A record met on the way through a file; `damage` says what is wrong with it, or is None."""

    offset: int
    record: Record | None
    damage: str | None


def scan_records(path):
    """Yields a `ScannedRecord` for each record of a .rec in file order; needs no index.

    After a damaged record it goes on at the next place that can start one.

    Raises
    ------
    InputError
        The file is empty or no RecordIO file at all.
    """
    if os.path.getsize(path) == 0:
        raise InputError(f"{path} is empty")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != MAGIC and content.find(MAGIC) < 0:
            raise InputError(f"{path} is not a RecordIO file: its magic number is nowhere in it")
        offset = 0
        while offset < len(content):
            try:
                payload, end = decode_record(lambda at, n: content[at : at + n], offset)
                yield ScannedRecord(offset, unpack_payload(payload), None)
            except ValueError as error:
                yield ScannedRecord(offset, None, str(error))
                end = _next_start(content, offset + 4)
            offset = end


def _next_start(content, offset):
    while True:
        offset = content.find(MAGIC, offset)
        if offset < 0 or offset + 8 > len(content):
            return len(content)
        kind = content[offset + 7] >> 5
        if offset % 4 == 0 and kind in (WHOLE, FIRST_PART):
            return offset
        offset += 1


def records_at(path, offsets):
    """Yields the `Record`s that start at these offsets of a .rec, which a scan found whole."""
    with open(path, "rb") as file:
        descriptor = file.fileno()
        for offset in offsets:
            payload, _ = decode_record(lambda at, n: os.pread(descriptor, n, at), int(offset))
            yield unpack_payload(payload)
