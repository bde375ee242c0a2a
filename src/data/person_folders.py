"""Folders of photos, one per person, read in a fixed order."""

import logging
import os
from collections.abc import Sequence
from typing import NamedTuple

from src.common.errors import InputError, listed
from src.common.errors import printable as printable
from src.common.folders import reported_scan

log = logging.getLogger(__name__)


class PersonFolder(NamedTuple):
    """A person's folder: its name, and sorted paths of its files, relative to the root."""

    name: str
    files: list[str]


def read_person_folders(root: str) -> tuple[list[PersonFolder], list[str]]:
    """(folders in `root`, names of the files next to them), both sorted by name.

    Folders inside a person's folder belong to that person; what else is below `root`, such as
    hidden files, is logged (see `FolderScan`). Names may contain any characters, also
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
    with reported_scan(root) as scan:
        names, strays = scan.entries()
        folders = [PersonFolder(name, scan.files_below(name)) for name in names]
        folders = [folder for folder in folders if scan.is_readable(folder.name)]
    if not folders:
        raise InputError(
            f"{root}: no person folders; expected {root}/<person>/<photo>, found "
            f"{len(strays)} files"
        )
    groups = [folder.name for folder in folders if _is_folder_of_people(folder)]
    if len(groups) == len(folders):
        name = os.path.join(root, groups[0])
        raise InputError(
            f"{root}: the photos are one level deeper than <person>/<photo>; pass {name} instead"
        )
    if groups:
        log.warning(
            "%s: %d folders have photos only in folders of their own, and count as one person "
            "each: %s; if their folders are people, move them up, or pass each of these instead",
            root,
            len(groups),
            printable_list(groups),
        )
    return folders, strays


def _is_folder_of_people(folder: PersonFolder) -> bool:
    """Whether all its files are in subfolders, of which there are at least two."""
    inner = {os.path.dirname(file).split(os.sep, 1)[-1] for file in folder.files}
    return folder.name not in inner and len(inner) > 1


def printable_list(names: Sequence[str], shown: int = 5) -> str:
    """The first few names, printable, and how many more there are, for one line of a warning."""
    return listed(map(printable, names), shown)
