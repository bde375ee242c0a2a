"""2018's reader of LFW's pairs; `src.data.lfw2pack` packs them into a verification set."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import logging
import os
from collections.abc import Sequence

import numpy as np

from src.common.errors import InputError
from src.common.text_files import read_lines

log = logging.getLogger(__name__)


def read_pairs(pairs_filename: str) -> np.ndarray:
    """The lines of LFW's pairs.txt after the first: an object array of lists of 3 or 4 fields."""
    lines = [line.split() for number, line in read_lines(pairs_filename) if number > 1]
    pairs = np.empty(len(lines), dtype=object)
    pairs[:] = lines
    return pairs


def get_paths(
    lfw_dir: str, pairs: Sequence[Sequence[str]], file_ext: str
) -> tuple[list[str], list[bool]]:
    """(paths, two for each pair; whether each pair shows the same person).

    Pairs with a missing picture are left out; their number is logged.

    Parameters
    ----------
    lfw_dir
        With pictures at `<person>/<person>_0001.<file_ext>`.
    pairs
        `person n1 n2` or `person1 n1 person2 n2`.

    Raises
    ------
    InputError
        A pair has another form.
    """
    paths: list[str] = []
    same: list[bool] = []
    for number, pair in enumerate(pairs):
        people = [pair[0], pair[-2] if len(pair) == 4 else pair[0]]
        if len(pair) not in (3, 4) or not (pair[1].isdecimal() and pair[-1].isdecimal()):
            raise InputError(f"pair {number}: expected `person n1 n2` or `person1 n1 person2 n2`")
        numbers = (int(pair[1]), int(pair[-1]))
        both = [
            os.path.join(lfw_dir, person, f"{person}_{picture:04d}.{file_ext}")
            for person, picture in zip(people, numbers, strict=True)
        ]
        if all(map(os.path.exists, both)):
            paths += both
            same.append(len(pair) == 3)
    if len(same) < len(pairs):
        log.warning("Skipped %d image pairs", len(pairs) - len(same))
    return paths, same
