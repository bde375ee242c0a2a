"""The table old name → new name of `rename_photos`: a TSV file, also used to resume a run."""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.common.text_files import read_lines

HEADING = ("old", "new", "state", "source")
HEADING_OF_1_1 = HEADING[:3]
PLANNED, DONE, SKIPPED = "planned", "done", "skipped"

# What `NameTable` writes: a person and a photo, in the output folder. Photos are written at these
# paths, and removed if they become unreadable.
_NEW_PATH = re.compile(r"(?!\.)[A-Za-z0-9_.-]+/(?!\.)[A-Za-z0-9_.-]+\.jpg")

LONGEST_PLAIN = 200  # letters; with extension and a number it is still a legal file name

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped[1]: letter for letter, escaped in _ESCAPES.items()}


class _Row(NamedTuple):
    new: str
    state: str
    stamp: str


def stamp_of(path: str) -> str:
    """Size and time of a file, which change if it is replaced, also by an older one; '' if missing.

    Raises
    ------
    OSError
        The file cannot be looked at.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def plain_name(name: str) -> str | None:
    """The name in plain ASCII if that is possible: José García → Jose_Garcia; else None."""
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    if not bare.isascii():
        return None
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", bare).strip("._-")
    return plain if 0 < len(plain) <= LONGEST_PLAIN else None


class NameTable:
    """Old relative paths, each with its new path and its state, in the order they were added.

    Parameters
    ----------
    path
        The TSV file: a heading, then old name, new name, state, and the stamp of the old file when
        it was read (see `stamp_of`; version 1.1.0 wrote none). A tab, line end or backslash in a
        name is written as \\t, \\n, \\r or \\\\.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._rows: dict[str, _Row] = {}  # by old path
        self._person_names: dict[str, str] = {}
        self._people_elsewhere = 0
        self._taken = {os.path.basename(path).lower()}  # in lower case

    @classmethod
    def read(cls, path: str) -> "NameTable":
        """The table in the file; empty if there is no file.

        Raises
        ------
        InputError
            The file is not such a table.
        """
        table = cls(path)
        if not os.path.exists(path):
            return table
        lines = read_lines(path, "surrogateescape")
        heading = tuple(next(lines, (1, ""))[1].split("\t"))
        if heading not in (HEADING, HEADING_OF_1_1):
            names = ", ".join(HEADING)
            raise InputError(f"{path}: line 1: expected the heading {names} between tabs")
        for number, line in lines:
            fields = [_unescape(field) for field in line.split("\t")]
            if line and len(fields) != len(heading):
                expected = f"expected {len(heading)} fields between tabs"
                raise InputError(f"{path}: line {number}: {expected}")
            if line:
                table._check_row(number, *fields[:3])
                table._insert(*fields)
        return table

    def take_names_of(self, other: "NameTable") -> None:
        """Reserves the new names of another table."""
        self._taken |= other._taken
        self._people_elsewhere += len(other._person_names)

    def _check_row(self, number: int, old: str, new: str, state: str) -> None:
        """InputError for a row that this class does not write."""
        if not _NEW_PATH.fullmatch(new) or new.lower() in self._taken:
            what = f"the new name {new!r} is used twice or is not <person>/<photo>.jpg"
        elif not old or os.path.isabs(old) or ".." in old.split(os.sep) or "\0" in old:
            what = f"the old name {old!r} is not inside of the folder of photos"
        elif state.split(":")[0] not in (PLANNED, DONE, SKIPPED):
            what = f"the state {state!r} is not {PLANNED}, {DONE} or {SKIPPED}"
        else:
            return
        raise InputError(
            f"{self.path}: line {number}: {what}; correct the line, or choose another --output-dir"
        )

    def _insert(self, old: str, new: str, state: str, stamp: str = "") -> None:
        self._rows[old] = _Row(new, state, stamp)
        self._taken.add(new.lower())
        person, new_person = old.split(os.sep)[0], new.split("/")[0]
        self._person_names[person] = new_person
        self._taken.add(new_person.lower())

    def write(self) -> None:
        """Writes the file, which replaces an old one only when it is complete."""
        with whole_file(self.path, "w", errors="surrogateescape") as file:
            file.write("\t".join(HEADING) + "\n")
            for old, row in self._rows.items():
                file.write("\t".join(_escape(field) for field in (old, *row)) + "\n")

    def add_person(
        self, person: str, files: Sequence[str], plain: Callable[[str], str | None] | None = None
    ) -> None:
        """Gives new names to those files of a person that have none yet.

        Parameters
        ----------
        person
            The folder's name.
        files
            Paths that start with it.
        plain
            Returns the name to use for an old one, or None to use a number. Without it all names
            are numbers.
        """
        if person not in self._person_names and files:
            wanted = plain(person) if plain else None
            count = self._people_elsewhere + len(self._person_names) + 1
            self._person_names[person] = self._take_name(wanted, "", "", "{:07d}", count)
        count = sum(file in self._rows for file in files) + 1
        for file in files:
            if file not in self._rows:
                stem = os.path.splitext(os.path.basename(file))[0]
                folder = self._person_names[person] + "/"
                wanted = plain(stem) if plain else None
                new = self._take_name(wanted, folder, ".jpg", "{:04d}", count)
                self._rows[file] = _Row(new, PLANNED, "")
                count += 1

    def _take_name(
        self, wanted: str | None, before: str, after: str, pattern: str, count: int
    ) -> str:
        """`before` + name + `after`, unique even if case is ignored; marks it as taken.

        The name is the wanted one, or a number from `count` up in the form of `pattern`.
        """
        candidate = f"{before}{wanted}{after}"
        while wanted is None or candidate.lower() in self._taken:
            wanted = pattern.format(count)
            candidate = f"{before}{wanted}{after}"
            count += 1
        self._taken.add(candidate.lower())
        return candidate

    def new_name(self, old: str) -> str:
        """The new path, with forward slashes; KeyError for an unknown one."""
        return self._rows[old].new

    def state(self, old: str) -> str:
        """PLANNED, DONE, or SKIPPED with the reason; KeyError for an unknown path."""
        return self._rows[old].state

    def stamp(self, old: str) -> str:
        """The stamp of the old file when it was read, or ''; KeyError for an unknown path."""
        return self._rows[old].stamp

    def set_state(self, old: str, state: str) -> None:
        """Changes the state of a path."""
        self._rows[old] = self._rows[old]._replace(state=state)

    def plan(self, old: str, stamp: str) -> None:
        """Marks a path as one that will be converted from a file with this stamp."""
        self._rows[old] = self._rows[old]._replace(state=PLANNED, stamp=stamp)

    def old_names(self) -> list[str]:
        """All old paths."""
        return list(self._rows)

    def remove(self, old: str) -> None:
        """Removes a path; its new name stays taken until the table is read again."""
        del self._rows[old]


def _escape(field: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in field)


def _unescape(field: str) -> str:
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[0]), field)
