"""Reads what `src.embed` writes: embeddings in a .npy, and a .tsv with the names and labels."""

import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.text_files import read_lines

COLUMNS = ("row", "name", "label", "note")


class Embeddings(NamedTuple):
    """Embeddings (N, D), float32, mapped from the file, with a name and a label for each.

    Pictures without a face have a row of NaN.
    """

    rows: np.ndarray
    names: list[str]
    labels: list[str]


def index_path(path: str) -> str:
    """The .tsv of a .npy."""
    return f"{os.path.splitext(path)[0]}.tsv"


def read_embeddings(path: str) -> Embeddings:
    """The embeddings at a .npy.

    Raises
    ------
    FileNotFoundError, InputError
        One of the two files is missing, damaged, or does not belong to the other.
    """
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy of numbers: {error}") from None
    index = index_path(path)
    lines = [line.split("\t") for _, line in read_lines(index, "surrogateescape")]
    if not lines or tuple(lines[0]) != COLUMNS or {len(line) for line in lines} != {len(COLUMNS)}:
        raise InputError(f"{index}: expected the columns {', '.join(COLUMNS)}, between tabs")
    if rows.ndim != 2 or rows.dtype != np.float32 or len(rows) != len(lines) - 1:
        raise InputError(
            f"{path}: {rows.dtype} of shape {rows.shape} does not belong to {index}, which has "
            f"{len(lines) - 1} rows: embed the pictures again"
        )
    return Embeddings(rows, [line[1] for line in lines[1:]], [line[2] for line in lines[1:]])
