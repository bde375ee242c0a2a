"""Folders of photos, one per person, read in a fixed order."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from src.common.errors import InputError, listed
from src.common.errors import printable as printable


class PersonFolder(NamedTuple):
    """A person's folder: its name, and sorted paths of its files, relative to the root."""

    name: str
    files: list[str]


def read_person_folders(root: str) -> tuple[list[PersonFolder], list[str]]:
    """(folders in `root`, names of the files next to them), both sorted by name.

    Folders inside a person's folder belong to that person. Names may contain any characters, also
    bytes that are not UTF-8.

    Parameters
    ----------
    root
        With photos at `root/<person>/<photo>`.

    Raises
    ------
    FileNotFoundError
        `root` is not a folder.
    InputError
        It contains no folder, or the photos are one level deeper, so that all photos in a folder
        of people would count as one person's.
    """
    if not os.path.isdir(root):
        raise FileNotFoundError(f"{root}: no such folder (expected {root}/<person>/<photo>)")
    folders, strays = [], []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_dir():
            folders.append(PersonFolder(entry.name, _files_below(root, entry.name)))
        else:
            strays.append(entry.name)
    if not folders:
        raise InputError(
            f"{root}: no person folders; expected {root}/<person>/<photo>, found "
            f"{len(strays)} files"
        )
    if all(_is_folder_of_people(folder) for folder in folders):
        name = os.path.join(root, folders[0].name)
        raise InputError(
            f"{root}: the photos are one level deeper than <person>/<photo>; pass {name} instead"
        )
    return folders, strays


def _is_folder_of_people(folder: PersonFolder) -> bool:
    """Whether all its files are in subfolders, of which there are at least two."""
    inner = {os.path.dirname(file).split(os.sep, 1)[-1] for file in folder.files}
    return folder.name not in inner and len(inner) > 1


def _files_below(root: str, name: str) -> list[str]:
    found: list[str] = []
    for folder, _, files in os.walk(os.path.join(root, name)):
        inside = os.path.relpath(folder, root)
        found.extend(os.path.join(inside, file) for file in files)
    return sorted(found)


def printable_list(names: Sequence[str], shown: int = 5) -> str:
    """The first few names, printable, and how many more there are, for one line of a warning."""
    return listed(map(printable, names), shown)
