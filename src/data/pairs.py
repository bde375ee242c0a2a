"""Files of verification pairs: reading and writing them, and an order with balanced folds."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.common.text_files import read_lines

PICTURE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp")

PictureKey = tuple[str, int] | str
"""A picture as a pairs file names it: (person, number) in LFW's format, or a path."""


class Pair(NamedTuple):
    """A line of a pairs file: its number, two pictures, and whether they show the same person."""

    line: int
    pictures: tuple[PictureKey, PictureKey]
    same: bool


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a file, in its order.

    Three forms of line are read, with fields between tabs or spaces:

    - `person n1 n2`: two pictures of one person (LFW);
    - `person1 n1 person2 n2`: pictures of two people (LFW);
    - `path1 path2 0`, or 1 for the same person.

    A first line of one or two numbers, as in LFW (folds, pairs per fold), is ignored.

    Raises
    ------
    InputError
        A line has another form (the message gives its number), or a kind of pair is missing.
    """
    pairs = []
    for number, line in read_lines(path, "surrogateescape"):
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        is_count = len(fields) <= 2 and all(field.isdecimal() for field in fields)
        if not any(fields) or (number == 1 and is_count):
            continue
        pairs.append(_parse_pair(fields, number, path))
    kinds = {pair.same for pair in pairs}
    if kinds != {True, False}:
        same = sum(pair.same for pair in pairs)
        raise InputError(
            f"{path}: verification needs same and different pairs, got {same} same and "
            f"{len(pairs) - same} different"
        )
    return pairs


def _parse_pair(fields: Sequence[str], number: int, path: str | os.PathLike[str]) -> Pair:
    if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
        person, first, second = fields
        return Pair(number, ((person, int(first)), (person, int(second))), True)
    if len(fields) == 3 and fields[2] in ("0", "1"):
        return Pair(number, (fields[0], fields[1]), fields[2] == "1")
    if len(fields) == 4 and fields[1].isdecimal() and fields[3].isdecimal():
        return Pair(number, ((fields[0], int(fields[1])), (fields[2], int(fields[3]))), False)
    raise InputError(
        f"{path}: line {number}: expected `person n1 n2`, `person1 n1 person2 n2` or "
        f"`path1 <tab> path2 <tab> 0 or 1`, got {' '.join(fields)!r}"
    )


def write_pairs(path: str, pairs: Iterable[tuple[str, str, bool]]) -> None:
    """Writes (path1, path2, same) as lines `path1 <tab> path2 <tab> 1 or 0`."""
    with whole_file(path, "w", errors="surrogateescape") as file:
        file.writelines(f"{first}\t{second}\t{int(same)}\n" for first, second, same in pairs)


def find_picture(folder: str, picture: PictureKey) -> str | None:
    """Path of a picture, or None.

    Parameters
    ----------
    picture
        LFW's format means `<person>/<person>_0001.jpg`; `<person>/0001.jpg` and `<person>/1.jpg`,
        and other extensions, are found too. A path is relative to `folder`, or to the working
        folder.
    """
    if isinstance(picture, str):
        candidates = [os.path.join(folder, picture), picture]
    else:
        person, number = picture
        stems = (f"{person}_{number:04d}", f"{number:04d}", str(number))
        candidates = [
            os.path.join(folder, person, stem + extension)
            for stem in stems
            for extension in PICTURE_EXTENSIONS
        ]
    return next((path for path in candidates if os.path.isfile(path)), None)


def picture_name(picture: PictureKey) -> str:
    """The name of a picture in LFW's layout, for messages; a path is unchanged."""
    return picture if isinstance(picture, str) else "{0}/{0}_{1:04d}.jpg".format(*picture)


def has_mixed_folds(issame: Sequence[bool], folds: int) -> bool:
    """Whether each of `folds` contiguous folds contains both kinds of pair."""
    return all(0 < np.sum(fold) < len(fold) for fold in np.array_split(np.array(issame), folds))


def mix_evenly(issame: Sequence[bool] | np.ndarray) -> np.ndarray:
    """Order (P,) in which both kinds of pair are spread evenly; each kind keeps its own order.

    The k-th of n pairs of a kind (from 0) goes to the fraction (k + 1/2) / n of the file.
    """
    issame = np.asarray(issame, bool)
    fractions = np.empty(len(issame))
    for kind in (True, False):
        places = np.flatnonzero(issame == kind)
        fractions[places] = (np.arange(len(places)) + 0.5) / max(len(places), 1)
    return np.argsort(fractions, kind="stable")
