"""Folders of photos, one a person: what is in them, in a fixed order."""

import os
from typing import NamedTuple

from src.common.errors import InputError


class PersonFolder(NamedTuple):
    """A person's folder: its `name`, and `files`, sorted paths relative to the root."""

    name: str
    files: list


def read_person_folders(root):
    """(folders, strays): a `PersonFolder` for each folder in `root`, by name; and loose files.

    Folders within a person's folder belong to that person. Names may hold any characters, also
    bytes that are no UTF-8.

    Parameters
    ----------
    root : str
        Laid out as `root/<person>/<photo>`.

    Raises
    ------
    FileNotFoundError
        `root` is no folder.
    InputError
        There is no folder in it, or one level too many: then all photos of a folder of people would
        count as one person's.
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
            f"{len(strays)} loose files"
        )
    if all(_is_folder_of_people(folder) for folder in folders):
        name = os.path.join(root, folders[0].name)
        raise InputError(
            f"{root}: the photos lie a level deeper than <person>/<photo>: name {name} instead"
        )
    return folders, strays


def _is_folder_of_people(folder):
    """Whether all its files lie in folders of its own, two of them or more."""
    inner = {os.path.dirname(file).split(os.sep, 1)[-1] for file in folder.files}
    return folder.name not in inner and len(inner) > 1


def _files_below(root, name):
    found = []
    for folder, _, files in os.walk(os.path.join(root, name)):
        inside = os.path.relpath(folder, root)
        found.extend(os.path.join(inside, file) for file in files)
    return sorted(found)


def name_some(names, most=5):
    """The first few of many names, for one line of a warning."""
    shown = ", ".join(printable(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def printable(name):
    """The name as any terminal and log can print it: odd bytes and control characters escaped."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
