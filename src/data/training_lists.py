"""Reads the lists that training sets are packed from."""

import logging
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.text_files import read_lines
from src.formats.lists import ListLine, is_im2rec_line, parse_lst_line

log = logging.getLogger(__name__)

NumberedLine = tuple[int, str]
"""A line of a list file: its number from 1, and its text without the newline."""


class ListedPhotos(NamedTuple):
    """The photos of a list.

    `labels` is int64 (N,), and `left_out` the number of lines that are not aligned and have no
    landmarks.
    """

    lines: list[NumberedLine]
    labels: np.ndarray
    left_out: int


def read_training_lines(path: str) -> Iterator[tuple[int, str, ListLine]]:
    """Yields (line number, text, fields) for the lines of a list that are not blank.

    Raises
    ------
    InputError
        A line is malformed or has a negative label; the message gives file and line.
    """
    recognised = False
    for number, line in read_lines(path, "surrogateescape"):
        if not line.strip():
            continue
        if not recognised and is_im2rec_line(line):
            log.info(
                "%s is a list of MXNet's im2rec (number, label, path of an aligned face)", path
            )
            recognised = True
        try:
            fields = parse_lst_line(line)
        except InputError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
        if fields.label < 0:
            raise InputError(
                f"{path}: line {number}: label {fields.label}: a training set needs the labels "
                "0, 1, …, but this is a list of photos without identities"
            )
        yield number, line, fields


def read_listed_photos(path: str) -> ListedPhotos:
    """The `ListedPhotos` of a list file.

    Raises
    ------
    InputError
        As `read_training_lines`, or there is no photo to pack.
    """
    lines, labels, left_out = [], [], 0
    for number, line, (_, label, _, landmark, aligned) in read_training_lines(path):
        if not aligned and landmark is None:
            left_out += 1
            continue
        lines.append((number, line))
        labels.append(label)
    if not lines:
        raise InputError(
            f"{path}: no photo to pack (expected lines `1<TAB>path<TAB>label`; {left_out} lines "
            "are not aligned and have no landmarks)"
        )
    return ListedPhotos(lines, np.array(labels, np.int64), left_out)


def group_by_label(labels: np.ndarray) -> np.ndarray | None:
    """Order (N,) that makes photos with the same label consecutive; None if they already are.

    Labels are in the order of their first appearance, the photos of each in list order.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    if len(np.unique(labels)) == len(starts):
        return None
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(first[inverse], kind="stable")


def grouped_lines(photos: ListedPhotos, path_list: str) -> list[NumberedLine]:
    """The lines, those of a label consecutive; logs what is left out or regrouped."""
    if photos.left_out:
        log.warning(
            "%s: %d lines are not aligned and have no landmarks; they are left out",
            path_list,
            photos.left_out,
        )
    order = group_by_label(photos.labels)
    if order is None:
        return photos.lines
    log.warning("%s: the photos of a label are not consecutive: grouped", path_list)
    return [photos.lines[place] for place in order]


def find_lists(prefix: str) -> tuple[str, list[str]]:
    """(folder, sorted paths of the lists whose path begins with `prefix`).

    If `prefix` is a folder, these are all lists in it.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such folder, or no list.
    """
    folder = prefix if os.path.isdir(prefix) else os.path.dirname(prefix)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: no such folder (PREFIX is a folder or folder/name)")
    begin = os.path.join(prefix, "") if os.path.isdir(prefix) else prefix
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    lists = [path for path in paths if path.startswith(begin) and path.endswith(".lst")]
    if not lists:
        raise InputError(
            f"Did not find and list file with prefix {prefix}; make one with: "
            f"python -m src.data.glint2lst PHOTOS --output {os.path.join(folder, 'train.lst')}"
        )
    return folder, lists
