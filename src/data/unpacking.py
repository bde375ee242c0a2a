"""Writes the images of records as files."""

import contextlib
import os

import numpy as np

from src.common.errors import InputError
from src.common.log import progress
from src.common.output_files import whole_file
from src.data.image_records import RecordScan
from src.formats.record_scan import records_at


def unpack(path_rec: str, scan: RecordScan, folder: str) -> int:
    """Writes (or keeps) each image as `folder/<label>/<number>.jpg` or .png; returns how many.

    The number is the record's own, or that of its place in the file if two have the same one.
    """
    if not np.isfinite(scan.labels).all():
        raise InputError(f"{path_rec}: some labels are not numbers, so it cannot be unpacked")
    # im2rec may write the same number, 0, into all of its records.
    unique = len(np.unique(scan.ids)) == len(scan.ids)
    numbers = scan.ids if unique else np.arange(1, len(scan.ids) + 1)
    records = records_at(path_rec, progress(scan.offsets, "unpack", "image"))
    for number, label, record in zip(numbers, scan.labels, records, strict=True):
        stem = os.path.join(folder, f"{int(label):07d}", f"{number:08d}")
        write_image(stem, record.content)
    return len(scan.offsets)


def write_image(stem: str, content: bytes) -> str:
    """Writes an encoded image with the extension of its format; returns its path."""
    path = stem + (".png" if content.startswith(b"\x89PNG") else ".jpg")
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content:
            return path
    with whole_file(path) as file:
        file.write(content)
    return path
