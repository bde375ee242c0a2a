"""What became of each photo of an alignment, so that a run that was stopped goes on."""

import json
import os
from typing import NamedTuple


class Outcome(NamedTuple):
    """What became of one photo."""

    way: int | None
    """Index into `src.align.ladder.WAYS`; None if the photo was skipped."""

    reason: str
    """Why it was skipped; '' if it was aligned."""

    final: bool = True
    """False: worth another try in the next run (the photo could not be read)."""


class Journal:
    """Outcomes of earlier runs, and a file to which new ones are appended one by one.

    A photo is known by the name of its aligned face; its fingerprint says whether photo and
    settings are still the same. The file has one JSON list a line; a last line that was cut off is
    passed over.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path):
        self._path = path
        self._known = {}
        self._ends_whole = True
        if os.path.exists(path):
            self._read()

    def _read(self):
        with open(self._path, encoding="ascii", errors="replace") as file:
            for line in file:
                self._ends_whole = line.endswith("\n")
                try:
                    name, fingerprint, way, reason, final = json.loads(line)
                except ValueError:
                    continue
                self._known[name] = fingerprint, Outcome(way, reason, final)

    def outcome(self, name, fingerprint, target):
        """Outcome of an earlier run that still holds, or None.

        An aligned face must still be there, at `target`; a photo that could not be read is tried
        again.
        """
        known_fingerprint, outcome = self._known.get(name, (None, None))
        if known_fingerprint != fingerprint or not outcome.final:
            return None
        if outcome.way is not None and not os.path.exists(target):
            return None
        return outcome

    def open(self):
        """Context manager: opens the file for `add`."""
        self._file = open(self._path, "a", encoding="ascii")  # noqa: SIM115
        if not self._ends_whole:
            self._file.write("\n")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def add(self, name, fingerprint, outcome):
        """Appends one photo; it is in the file when this returns."""
        self._file.write(json.dumps([name, fingerprint, *outcome]) + "\n")
        self._file.flush()
