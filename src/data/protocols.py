"""Verification protocols of other data sets, read from the files that come with them."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.io import loadmat

from src.common.errors import InputError
from src.common.text_files import read_lines
from src.data.pairs import Pair, read_pairs

LFW, CFP_FF, CFP_FP, AGEDB, CALFW, CPLFW = "lfw", "cfp_ff", "cfp_fp", "agedb_30", "calfw", "cplfw"

KINDS = (("same.txt", True), ("diff.txt", False))  # in each split of CFP
READ_AGEDB = "import sys; from src.data.protocols import print_agedb; print_agedb(sys.argv[1])"
DEEPEST = 12  # nesting of cells and structs in a MATLAB file
PICTURES_OF_CFP = "Data/Images/"  # what precedes the paths of pictures in CFP's lists


def read_protocol(name: str, path: str) -> list[Pair]:
    """The pairs of a protocol, fold by fold.

    Parameters
    ----------
    name
        A key of `PROTOCOLS`.
    path
        Its pairs file, CFP's folder Protocol, or AgeDB's .mat.

    Raises
    ------
    InputError, FileNotFoundError
        It is not what the protocol consists of.
    """
    pairs = PROTOCOLS[name](path)
    if {pair.same for pair in pairs} != {True, False}:
        raise InputError(f"{path}: {len(pairs)} pairs, but both same and different ones are needed")
    return pairs


def _read_cfp(sides: str, path: str) -> list[Pair]:
    """The pairs of CFP's folder Protocol.

    Pair_list_F.txt and Pair_list_P.txt number the frontal and the profile pictures;
    Split/FF/01/same.txt and so on have lines `number,number`.

    Parameters
    ----------
    sides
        Which list the first and the second number refer to: FF or FP.
    """
    pictures = [_numbered_pictures(os.path.join(path, f"Pair_list_{side}.txt")) for side in sides]
    folder = os.path.join(path, "Split", sides)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: no such folder; name CFP's folder Protocol")
    pairs = []
    for split in sorted(os.listdir(folder)):
        for name, same in KINDS:
            file = os.path.join(folder, split, name)
            for number, line in read_lines(file):
                if line.strip():
                    try:
                        first, second = (int(part) for part in line.split(","))
                        both = (pictures[0][first], pictures[1][second])
                    except (ValueError, KeyError):
                        raise InputError(
                            f"{file}: line {number}: expected two numbers of Pair_list_{sides[0]}"
                            f".txt and Pair_list_{sides[1]}.txt, got {line.strip()!r}"
                        ) from None
                    pairs.append(Pair(number, both, same))
    return pairs


def _numbered_pictures(path: str) -> dict[int, str]:
    """Number → path below the folder of the pictures."""
    found = {}
    for number, line in read_lines(path):
        fields = line.split(maxsplit=1)
        if not fields:
            continue
        if len(fields) != 2 or not fields[0].isdecimal():
            raise InputError(f"{path}: line {number}: expected `number path`, got {line.strip()!r}")
        found[int(fields[0])] = fields[1].strip().rpartition(PICTURES_OF_CFP)[2]
    return found


def _read_two_lines(path: str) -> list[Pair]:
    """The pairs of CALFW and CPLFW: two lines `picture flag`; the flag is 0 for two people."""
    fields = ((number, line.split()) for number, line in read_lines(path) if line.strip())
    pairs = []
    for (number, first), second in _in_twos(fields, path):
        flags = {first[-1], second[-1]}
        is_pair = len(first) == len(second) == 2 and len(flags) == 1 and first[1].isdecimal()
        if not is_pair:
            raise InputError(
                f"{path}: line {number}: expected two lines `picture number` with one number, got "
                f"{' '.join(first)!r} and {' '.join(second)!r}"
            )
        pairs.append(Pair(number, (first[0], second[0]), flags != {"0"}))
    return pairs


def _in_twos(
    lines: Iterator[tuple[int, list[str]]], path: str
) -> Iterator[tuple[tuple[int, list[str]], list[str]]]:
    for numbered, following in itertools.zip_longest(lines, lines):
        if following is None:
            raise InputError(f"{path}: its last line {numbered[0]} has no second picture")
        yield numbered, following[1]


def _read_agedb(path: str) -> list[Pair]:
    """The pairs of AgeDB's 04_FINAL_protocol_30_years.mat.

    `splits` has a column of folds; each is a struct whose only field is a cell array of two rows,
    and each cell a struct of the picture's name, without extension, and the age. A name begins with
    the person.
    """
    # SciPy's reader ends the process on some damaged files, so it has one of its own.
    done = subprocess.run(
        [sys.executable, "-c", READ_AGEDB, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    try:
        named = json.loads(done.stdout)
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["SciPy cannot read it"])[-1]
        raise InputError(
            f"{path} is not AgeDB's protocol (a MATLAB file with `splits`): {reason}"
        ) from None
    return [
        Pair(number, (f"{first}.jpg", f"{second}.jpg"), first.split("_")[0] == second.split("_")[0])
        for number, (first, second) in enumerate(named, start=1)
    ]


def print_agedb(path: str) -> None:
    """Prints the names of the pairs of AgeDB's protocol as JSON."""
    names = [
        (_text(first), _text(second))
        for fold in loadmat(path)["splits"][:, 0]
        for first, second in zip(*_unwrapped(fold, 2), strict=True)
    ]
    print(json.dumps(names))


def _unwrapped(value: Any, rows: int) -> np.ndarray:
    """The array of that many rows inside of nested structs and cells of one element."""
    for _ in range(DEEPEST):
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] == rows:
            return value
        value = _inner(value)
    raise ValueError(f"a fold is not an array of {rows} rows")


def _text(value: Any) -> str:
    """The first text inside of nested structs, cells and arrays."""
    for _ in range(DEEPEST):
        if isinstance(value, str):
            return value
        value = _inner(value)
    raise ValueError("a picture has no name")


def _inner(value: Any) -> Any:
    """The first element of a cell array, or the first field of a struct."""
    if isinstance(value, np.void):
        return value[0]
    if isinstance(value, np.ndarray) and value.size:
        return value.reshape(-1)[0]
    raise ValueError(f"{type(value).__name__} where a cell or a struct was expected")


PROTOCOLS: dict[str, Callable[[str], list[Pair]]] = {
    LFW: read_pairs,
    CFP_FF: lambda path: _read_cfp("FF", path),
    CFP_FP: lambda path: _read_cfp("FP", path),
    AGEDB: _read_agedb,
    CALFW: _read_two_lines,
    CPLFW: _read_two_lines,
}
