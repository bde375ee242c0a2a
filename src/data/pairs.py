"""Files of verification pairs: reading them, finding the pictures, and an order good for folds."""

import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")


class Pair(NamedTuple):
    """A pair of a pairs file: its `line` number, two `pictures`, and whether they are the `same`
    person's. A picture is (person, number) in LFW's form, or a path."""

    line: int
    pictures: tuple
    same: bool


def read_pairs(path):
    """The `Pair`s of a file, in its order; three forms of line, between tabs or spaces:

    - `person n1 n2`: two pictures of one person (LFW);
    - `person1 n1 person2 n2`: pictures of two persons (LFW);
    - `path1 path2 0`, or 1 for the same person.

    A first line of one or two numbers, as LFW has it (folds, pairs of a fold), is passed over.

    Raises
    ------
    InputError
        Another line, named by its number; no pair; or only one kind.
    """
    pairs = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            text = line.strip("\r\n")
            fields = [field.strip() for field in text.split("\t")] if "\t" in text else text.split()
            is_count = len(fields) <= 2 and all(field.isdigit() for field in fields)
            if not any(fields) or (number == 1 and is_count):
                continue
            pairs.append(_parse_pair(fields, number, path))
    kinds = {pair.same for pair in pairs}
    if kinds != {True, False}:
        same = sum(pair.same for pair in pairs)
        raise InputError(
            f"{path}: verification needs pairs of one person and pairs of two; there are {same} of "
            f"one and {len(pairs) - same} of two"
        )
    return pairs


def _parse_pair(fields, number, path):
    if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
        person, first, second = fields
        return Pair(number, ((person, int(first)), (person, int(second))), True)
    if len(fields) == 3 and fields[2] in ("0", "1"):
        return Pair(number, (fields[0], fields[1]), fields[2] == "1")
    if len(fields) == 4 and fields[1].isdigit() and fields[3].isdigit():
        return Pair(number, ((fields[0], int(fields[1])), (fields[2], int(fields[3]))), False)
    raise InputError(
        f"{path}: line {number}: expected `person n1 n2`, `person1 n1 person2 n2` or "
        f"`path1 <tab> path2 <tab> 0 or 1`, got {' '.join(fields)!r}"
    )


def find_picture(folder, picture):
    """Path of a picture, or None.

    Parameters
    ----------
    folder : str
    picture : (str, int) or str
        LFW's form is `<person>/<person>_0001.jpg`; `<person>/0001.jpg` and `<person>/1.jpg`, and
        other endings, are taken too. A path counts from `folder`, or from the working folder.
    """
    if isinstance(picture, str):
        candidates = [os.path.join(folder, picture), picture]
    else:
        person, number = picture
        stems = (f"{person}_{number:04d}", f"{number:04d}", str(number))
        candidates = [
            os.path.join(folder, person, stem + ending)
            for stem in stems
            for ending in PICTURE_ENDINGS
        ]
    return next((path for path in candidates if os.path.isfile(path)), None)


def picture_name(picture):
    """What the picture is called in LFW's layout."""
    return picture if isinstance(picture, str) else "{0}/{0}_{1:04d}.jpg".format(*picture)


def has_mixed_folds(issame, folds):
    """Whether each of so many contiguous folds holds both kinds of pair."""
    return all(0 < np.sum(fold) < len(fold) for fold in np.array_split(np.array(issame), folds))


def mix_evenly(issame):
    """Order (P,) in which both kinds of pair are spread evenly, each kind in its own order.

    The k-th of n pairs of a kind is put at the fraction (k + 1/2) / n of the way.
    """
    issame = np.asarray(issame, bool)
    fractions = np.empty(len(issame))
    for kind in (True, False):
        places = np.flatnonzero(issame == kind)
        fractions[places] = (np.arange(len(places)) + 0.5) / max(len(places), 1)
    return np.argsort(fractions, kind="stable")
