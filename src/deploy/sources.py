"""Pictures to embed: a folder, a list, a training set or a verification set."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from src.common.errors import InputError
from src.common.folders import reported_scan
from src.common.photos import decode_stored, read_photo
from src.common.text_files import read_lines
from src.formats.face_layout import read_layout
from src.formats.lists import parse_lst_line
from src.formats.records import RecordReader
from src.formats.verification_set import read_bin


class Source(NamedTuple):
    """Pictures in a fixed order.

    `names` are paths, or numbers of records or images; `labels` are '' where there are none.
    `read` returns the pixels of a picture, given its place, uint8 (H, W, 3) RGB; it raises
    InputError or OSError if that is impossible.
    """

    names: Sequence[str]
    labels: Sequence[str]
    read: Callable[[int], np.ndarray]


def open_source(path: str) -> Source:
    """The pictures at a path: a folder, or a file .lst, .rec or .bin.

    Raises
    ------
    InputError, FileNotFoundError
        There is no such thing, or no picture in it.
    """
    readers = {".lst": _from_list, ".rec": _from_records, ".bin": _from_pairs}
    kind = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        source = _from_folder(path)
    elif not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such folder or file")
    elif kind in readers:
        source = readers[kind](path)
    else:
        raise InputError(f"{path}: expected a folder, or a file .lst, .rec or .bin")
    if not len(source.names):
        raise InputError(f"{path}: there is no picture in it")
    return source


def _from_folder(root: str) -> Source:
    with reported_scan(root) as scan:
        names = scan.files_below("")
    labels = [os.path.dirname(name).split(os.sep)[0] for name in names]
    return Source(names, labels, lambda place: read_photo(os.path.join(root, names[place])))


def _from_list(path: str) -> Source:
    names, labels = [], []
    for number, line in read_lines(path, "surrogateescape"):
        if line.strip():
            try:
                entry = parse_lst_line(line)
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from None
            names.append(entry.image_path)
            labels.append(str(entry.label))
    return Source(names, labels, lambda place: read_photo(names[place]))


def _from_records(path: str) -> Source:
    reader = RecordReader(path)
    numbers = read_layout(reader).image_ids
    labels = [f"{label:g}" for label in reader.first_labels(np.arange(numbers[0], numbers[-1] + 1))]

    def read(place: int) -> np.ndarray:
        return _decoded(reader.read(numbers[place]).content, f"record {numbers[place]}")

    return Source([str(number) for number in numbers], labels, read)


def _from_pairs(path: str) -> Source:
    images, _ = read_bin(path)
    names = [
        f"pair {place // 2} {'first' if place % 2 == 0 else 'second'}"
        for place in range(len(images))
    ]
    return Source(names, [""] * len(names), lambda place: _decoded(images[place], names[place]))


def _decoded(content: bytes, name: str) -> np.ndarray:
    image = decode_stored(content)
    if image is None:
        raise InputError(f"{name} cannot be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
