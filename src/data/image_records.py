"""Lists the images in a .rec from the file itself, to check and repair data sets."""

import array
import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.log import progress
from src.formats.record_headers import read_headers
from src.formats.record_scan import scan_records
from src.formats.recordio import MAGIC, aligned_magic, decode_record, unpack_payload
from src.formats.records import RecordReader

# The magic number is in some images by chance, and such records are in parts: one in a million.
MOST_IN_PARTS = 10_000
WORDS_AT_A_TIME = 1 << 24  # 64 MB


class RecordScan(NamedTuple):
    """Everything that a .rec contains, in file order, read without its index.

    `offsets`, `flags` (int64), `ids` (uint64) and `labels` (float32, the first of each) are arrays
    (N,) for the image records. `other_records` counts the records without content (identities,
    record 0). `damages` has (offset, reason) of each damaged record.
    """

    offsets: np.ndarray
    ids: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    other_records: int
    damages: list[tuple[int, str]]


def scan_images(path_rec: str) -> RecordScan:
    """The `RecordScan` of a .rec: quickly if all is in order, else record by record."""
    return _scan_by_index(path_rec) or _scan_one_by_one(path_rec)


def _scan_by_index(path_rec: str) -> RecordScan | None:
    """The scan of a file whose index lists every record, if all of them are intact; else None."""
    try:
        reader = RecordReader(path_rec)
    except (FileNotFoundError, InputError):
        return None
    with reader:
        offsets = np.sort(reader.offsets)
    if not len(offsets) or offsets[0] < 0:
        return None
    found = read_headers(path_rec, offsets)
    ids, flags = found.ids, found.flags.astype(np.int64)
    labels, content, ends = found.labels[:, 0], found.content, found.ends
    in_parts = np.flatnonzero(~found.is_plain)
    magic_numbers = len(offsets)
    if len(in_parts) > MOST_IN_PARTS:
        return None
    with open(path_rec, "rb") as file:
        descriptor = file.fileno()
        for place in in_parts:
            try:
                payload, end = decode_record(
                    lambda at, count: os.pread(descriptor, count, at), int(offsets[place])
                )
                record = unpack_payload(payload)
            except ValueError:
                return None
            ids[place], flags[place], labels[place] = record.id, record.flag, record.label[0]
            content[place], ends[place] = len(record.content), end
            magic_numbers += len(aligned_magic(payload))
    size = os.path.getsize(path_rec)
    follow = offsets[0] == 0 and ends[-1] == size and np.all(ends[:-1] == offsets[1:])
    if not follow or _count_magic_numbers(path_rec) != magic_numbers:
        return None
    images = content > 0
    others = int(np.sum(~images))
    return RecordScan(offsets[images], ids[images], flags[images], labels[images], others, [])


def _count_magic_numbers(path: str) -> int:
    """How often the magic number is at a multiple of four, which is where a part can start."""
    words = np.memmap(path, "<u4", "r", shape=(os.path.getsize(path) // 4,))
    magic = int.from_bytes(MAGIC, "little")
    blocks = progress(range(0, len(words), WORDS_AT_A_TIME), "scan", "block")
    return sum(
        int(np.count_nonzero(words[begin : begin + WORDS_AT_A_TIME] == magic)) for begin in blocks
    )


def _scan_one_by_one(path_rec: str) -> RecordScan:
    offsets, ids, flags = array.array("q"), array.array("Q"), array.array("q")
    labels = array.array("f")
    other_records = 0
    damages: list[tuple[int, str]] = []
    for offset, record, damage in progress(scan_records(path_rec), "scan", "record"):
        if record is None:
            damages.append((offset, damage or ""))
        elif not record.content:
            other_records += 1
        else:
            offsets.append(offset)
            ids.append(record.id)
            flags.append(record.flag)
            labels.append(record.label[0])
    return RecordScan(
        offsets=np.array(offsets),
        ids=np.array(ids),
        flags=np.array(flags),
        labels=np.array(labels),
        other_records=other_records,
        damages=damages,
    )
