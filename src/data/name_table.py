"""The table old name → new name of `rename_photos`: a TSV file that a stopped run goes on from."""

import os
import re
import unicodedata

from src.common.errors import InputError
from src.common.output_files import whole_file

HEADING = ("old", "new", "state")
PLANNED, DONE, SKIPPED = "planned", "done", "skipped"

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped[1]: letter for letter, escaped in _ESCAPES.items()}


def plain_name(name):
    """The name in plain ASCII if it nearly is: José García → Jose_Garcia; else None."""
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    if not bare.isascii():
        return None
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", bare).strip("._-")
    return plain or None


class NameTable:
    """Old relative paths, each with its new one and its state, in the order they came in.

    Parameters
    ----------
    path : str
        The TSV file: a heading, then old name, new name, state; a tab, line end or backslash
        within a name is written \\t, \\n, \\\\.
    """

    def __init__(self, path):
        self.path = path
        self._rows = {}
        self._person_names = {}
        self._taken = set()

    @classmethod
    def read(cls, path):
        """The table in the file; an empty one where there is no file.

        Raises
        ------
        InputError
            The file is no such table.
        """
        table = cls(path)
        if not os.path.exists(path):
            return table
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
        if tuple(lines[0].split("\t")) != HEADING:
            raise InputError(f"{path}: line 1: expected the heading old, new, state between tabs")
        for number, line in enumerate(lines[1:], 2):
            fields = [_unescape(field) for field in line.split("\t")]
            if line and len(fields) != 3:
                raise InputError(f"{path}: line {number}: expected 3 fields between tabs")
            if line:
                table._insert(*fields)
        return table

    def _insert(self, old, new, state):
        self._rows[old] = [new, state]
        self._taken.add(new.lower())
        person, new_person = old.split(os.sep)[0], new.split("/")[0]
        self._person_names[person] = new_person
        self._taken.add(new_person.lower())

    def write(self):
        """Writes the file, whole."""
        with whole_file(self.path, "w", errors="surrogateescape") as file:
            file.write("\t".join(HEADING) + "\n")
            for old, (new, state) in self._rows.items():
                file.write("\t".join(_escape(field) for field in (old, new, state)) + "\n")

    def add_person(self, person, files, plain=None):
        """Gives new names to the files of a person that have none yet.

        Parameters
        ----------
        person : str
            The folder's name.
        files : list of str
            Paths that start with it.
        plain : callable, optional
            From a name to one to keep, or None for a number; without it everything is numbered.
        """
        if person not in self._person_names and files:
            wanted = plain(person) if plain else None
            count = len(self._person_names) + 1
            self._person_names[person] = self._free(wanted, "", "", "{:07d}", count)
        count = sum(file in self._rows for file in files) + 1
        for file in files:
            if file not in self._rows:
                stem = os.path.splitext(os.path.basename(file))[0]
                folder = self._person_names[person] + "/"
                wanted = plain(stem) if plain else None
                new = self._free(wanted, folder, ".jpg", "{:04d}", count)
                self._rows[file] = [new, PLANNED]
                count += 1

    def _free(self, wanted, before, after, pattern, count):
        """A name that no other has, also where capitals do not count; taken from now on."""
        candidate = f"{before}{wanted}{after}"
        while wanted is None or candidate.lower() in self._taken:
            wanted = pattern.format(count)
            candidate = f"{before}{wanted}{after}"
            count += 1
        self._taken.add(candidate.lower())
        return candidate

    def new_name(self, old):
        """The new path, with forward slashes; KeyError for an unknown one."""
        return self._rows[old][0]

    def state(self, old):
        return self._rows[old][1]

    def set_state(self, old, state):
        self._rows[old][1] = state


def _escape(field):
    return "".join(_ESCAPES.get(letter, letter) for letter in field)


def _unescape(field):
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[0]), field)
