"""Which folder the files of an output folder were made from, so that two sets are never mixed."""

import itertools
import json
import os

from src.common.errors import InputError
from src.common.json_text import parse_json
from src.common.output_files import whole_file

RECORD = ".sources.json"


def claim(output_dir: str, source: str, add: bool) -> tuple[int, list[int]]:
    """(number of a source within an output folder, from 1; those of the others); records a new one.

    A source is known again by its path, or by its path from the output folder if both were moved.

    Parameters
    ----------
    source
        Folder.
    add
        Whether a second source may be added.

    Raises
    ------
    InputError
        The output folder belongs to another source, and `add` is false; or the record is damaged.
    """
    path = os.path.join(output_dir, RECORD)
    known = _read(path)
    places = {
        "path": os.path.realpath(source),
        "from_here": os.path.relpath(os.path.realpath(source), os.path.realpath(output_dir)),
    }
    for number, recorded in known.items():
        if any(recorded.get(key) == place for key, place in places.items()):
            return number, [other for other in known if other != number]
    if known and not add:
        raise InputError(
            f"{output_dir} belongs to {known[min(known)].get('path')}, and --input-dir {source} is "
            "another folder: choose another --output-dir, or use --add to keep both in it, apart. "
            f"If it is the same set at a new place, delete {path}"
        )
    number = next(number for number in itertools.count(1) if number not in known)
    known[number] = places
    with whole_file(path, "w") as file:
        json.dump({str(key): value for key, value in known.items()}, file, indent=1)
    return number, [other for other in known if other != number]


def numbered(name: str, number: int) -> str:
    """The name of a file of a source: unchanged for the first, `lst-2`, `names-2.tsv`, …"""
    stem, extension = os.path.splitext(name)
    return name if number == 1 else f"{stem}-{number}{extension}"


def _read(path: str) -> dict[int, dict[str, str]]:
    if not os.path.exists(path):
        return {}
    try:
        with open(path, "rb") as file:
            record = parse_json(file.read())
        known = {int(number): dict(places) for number, places in record.items()}
        if not all(isinstance(place, str) for each in known.values() for place in each.values()):
            raise ValueError("a path is not text")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it") from None
    return known
