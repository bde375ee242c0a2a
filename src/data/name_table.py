"""The table old name → new name of `rename_photos`: a TSV file, also used to resume a run."""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.common.text_files import read_lines

HEADING = ("old", "new", "state")
PLANNED, DONE, SKIPPED = "planned", "done", "skipped"

# What `NameTable` writes: a person and a photo, in the output folder. Photos are written at these
# paths, and removed if they become unreadable.
_NEW_PATH = re.compile(r"(?!\.)[A-Za-z0-9_.-]+/(?!\.)[A-Za-z0-9_.-]+\.jpg")

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped[1]: letter for letter, escaped in _ESCAPES.items()}


def plain_name(name: str) -> str | None:
    """The name in plain ASCII if that is possible: José García → Jose_Garcia; else None."""
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    if not bare.isascii():
        return None
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", bare).strip("._-")
    return plain or None


class NameTable:
    """Old relative paths, each with its new path and its state, in the order they were added.

    Parameters
    ----------
    path
        The TSV file: a heading, then old name, new name, state. A tab, line end or backslash in a
        name is written as \\t, \\n, \\r or \\\\.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._rows: dict[str, list[str]] = {}  # from old path to [new path, state]
        self._person_names: dict[str, str] = {}
        self._taken: set[str] = set()  # in lower case

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
        if tuple(next(lines, (1, ""))[1].split("\t")) != HEADING:
            raise InputError(f"{path}: line 1: expected the heading old, new, state between tabs")
        for number, line in lines:
            fields = [_unescape(field) for field in line.split("\t")]
            if line and len(fields) != 3:
                raise InputError(f"{path}: line {number}: expected 3 fields between tabs")
            if line:
                table._check_row(number, *fields)
                table._insert(*fields)
        return table

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

    def _insert(self, old: str, new: str, state: str) -> None:
        self._rows[old] = [new, state]
        self._taken.add(new.lower())
        person, new_person = old.split(os.sep)[0], new.split("/")[0]
        self._person_names[person] = new_person
        self._taken.add(new_person.lower())

    def write(self) -> None:
        """Writes the file, which replaces an old one only when it is complete."""
        with whole_file(self.path, "w", errors="surrogateescape") as file:
            file.write("\t".join(HEADING) + "\n")
            for old, (new, state) in self._rows.items():
                file.write("\t".join(_escape(field) for field in (old, new, state)) + "\n")

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
            count = len(self._person_names) + 1
            self._person_names[person] = self._take_name(wanted, "", "", "{:07d}", count)
        count = sum(file in self._rows for file in files) + 1
        for file in files:
            if file not in self._rows:
                stem = os.path.splitext(os.path.basename(file))[0]
                folder = self._person_names[person] + "/"
                wanted = plain(stem) if plain else None
                new = self._take_name(wanted, folder, ".jpg", "{:04d}", count)
                self._rows[file] = [new, PLANNED]
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
        return self._rows[old][0]

    def state(self, old: str) -> str:
        """PLANNED, DONE, or SKIPPED with the reason; KeyError for an unknown path."""
        return self._rows[old][1]

    def set_state(self, old: str, state: str) -> None:
        """Changes the state of a path."""
        self._rows[old][1] = state


def _escape(field: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in field)


def _unescape(field: str) -> str:
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[0]), field)
