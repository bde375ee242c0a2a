"""The outcome for each photo of an alignment, so that a stopped run can be resumed.

The file has one JSON value per line. A line `{"version": 2, "settings": {…}}` applies to the lines
after it; each of these is a list `[name, photo, known, way, reason, final, found]`, see `Key` and
`Outcome`; `found` is left out if there is none. Settings are stored by name: a setting that a later
version adds does not invalidate old outcomes as long as it has its default value. Lists of five,
`[name, fingerprint, way, reason, final]`, were written by version 1.1.0. A line that cannot be read
is ignored, and so are the outcomes after it up to the next settings, because it may have been a
line of settings.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TextIO

import numpy as np

from src.common.encoded_image import begins_as_image
from src.common.output_files import full_disk_named

VERSION = 2
_DECODER = json.JSONDecoder()
SETTINGS_OF_VERSION_1 = ("image_size", "keep_undetected", "det_model", "face")


class Key(NamedTuple):
    """What an outcome depends on, in addition to the settings.

    `name` is the name of the aligned face. `stamp` changes when the photo's file changes, and
    `known` when the known box or landmarks do. `version_1` is the fingerprint of version 1.1.0: of
    the stamp, what is known, and `SETTINGS_OF_VERSION_1`.
    """

    name: str
    stamp: str
    known: str
    version_1: str = ""


class Outcome(NamedTuple):
    """The outcome for one photo.

    `way` is an index into the style's `ways`, or None if the photo was skipped; `reason` is
    why it was skipped, or ''. For a photo that could not be read, `final` is False: the next run
    tries it again. `found` is the face that was detected, as by `Found.numbers`; None if there was
    none, or if an earlier version aligned the photo.
    """

    way: int | None
    reason: str
    final: bool = True
    found: list[float] | None = None


def name_hash(name: str) -> int:
    """A 64-bit number by which a name is found; different names hardly ever have the same."""
    return hash(name)


class Journal:
    """Outcomes of earlier runs, and a file to which new ones are appended one by one.

    Of the earlier outcomes only their places in the file are in memory, 16 bytes each.

    Parameters
    ----------
    path
    settings
        Values by name.
    defaults
        Values of settings that an older journal does not contain.
    """

    def __init__(
        self,
        path: str,
        settings: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = path
        # In the form in which they are read from the file, with lists instead of tuples.
        self._settings = json.loads(json.dumps(dict(settings or {})))
        self._defaults = json.loads(json.dumps(dict(defaults or {})))
        self._hashes, self._places = np.empty(0, np.int64), np.empty(0, np.int64)
        # Where lines of settings begin; None after a line that may have been one.
        self._recorded: list[tuple[int, Mapping[str, Any] | None]] = [(0, None)]
        self._ends_complete = True
        self._file: TextIO | None = None
        if os.path.exists(path):
            self._read()

    def _read(self) -> None:
        """Notes the place of the last line of each name."""
        hashes, places = array("q"), array("q")
        place = 0
        with open(self._path, "rb") as file:
            for line in file:
                self._ends_complete = line.endswith(b"\n")
                text = line.decode("utf-8" if place else "utf-8-sig", "replace").strip()
                name = None
                if text.startswith('["') and text.endswith("]"):
                    with contextlib.suppress(ValueError):
                        name, _ = _DECODER.raw_decode(text, 1)
                if name is not None:
                    hashes.append(name_hash(name))
                    places.append(place)
                elif text:
                    self._recorded.append((place, _settings_in(text)))
                place += len(line)
        if hashes:
            # Sorted by hash; of equal ones the last, which is the newest.
            all_hashes, all_places = (
                np.frombuffer(hashes, np.int64),
                np.frombuffer(places, np.int64),
            )
            order = np.argsort(all_hashes, kind="stable")
            newest = np.r_[all_hashes[order][1:] != all_hashes[order][:-1], True]
            self._hashes = all_hashes[order][newest]
            self._places = all_places[order][newest]

    def _line(self, place: int) -> list[Any]:
        """The values in the line at a place; empty if it cannot be read."""
        with open(self._path, "rb") as file, contextlib.suppress(ValueError, RecursionError):
            file.seek(place)
            values = json.loads(file.readline().decode("utf-8-sig"))
            if isinstance(values, list):
                return values
        return []

    def outcome(self, key: Key, target: str) -> Outcome | None:
        """The outcome of an earlier run that is still valid, or None.

        The aligned face must still exist, at `target` if that is not empty, and begin as an image;
        a photo that could not be read is tried again.
        """
        at = int(np.searchsorted(self._hashes, name_hash(key.name)))
        if at == len(self._hashes) or self._hashes[at] != name_hash(key.name):
            return None
        place = int(self._places[at])
        outcome = self._valid(self._line(place), self._settings_at(place), key)
        if outcome is None or not outcome.final:
            return None
        if outcome.way is not None and target:
            with contextlib.suppress(OSError):
                return outcome if begins_as_image(target) else None
            return None
        return outcome

    def _valid(
        self, line: list[Any], recorded: Mapping[str, Any] | None, key: Key
    ) -> Outcome | None:
        """The outcome in a line, if it is for this photo and these settings."""
        try:
            if len(line) == 5:  # of version 1.1.0, whose fingerprint covers these settings
                name, fingerprint, *values = line
                same = fingerprint == key.version_1
                covered = self._settings.keys() & set(SETTINGS_OF_VERSION_1)
                recorded = {name: self._settings[name] for name in covered}
            else:
                name, stamp, known, *values = line
                same = (stamp, known) == key[1:3]
            outcome = Outcome(*values)
        except (ValueError, TypeError):
            return None
        if name != key.name or not same or recorded is None:
            return None
        wanted = {**self._defaults, **self._settings}
        return outcome if {**self._defaults, **recorded} == wanted else None

    def _settings_at(self, place: int) -> Mapping[str, Any] | None:
        return self._recorded[bisect.bisect(self._recorded, place, key=lambda r: r[0]) - 1][1]

    def aligned_except(self, names: np.ndarray) -> Iterator[str]:
        """Yields the names of faces that earlier runs wrote, except those with these hashes."""
        for place in self._places[~np.isin(self._hashes, names)]:
            line = self._line(int(place))
            way = 2 if len(line) == 5 else 3
            if len(line) > way and line[way] is not None:
                yield str(line[0])

    def open(self) -> Journal:
        """Context manager: opens the file for `add`."""
        self._file = open(self._path, "a", encoding="ascii")  # noqa: SIM115
        if not self._ends_complete:
            self._file.write("\n")
        self._file.write(json.dumps({"version": VERSION, "settings": self._settings}) + "\n")
        return self

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._file is not None  # `open` comes first
        self._file.close()

    def add(self, key: Key, outcome: Outcome) -> None:
        """Appends the outcome for one photo; it is in the file when this returns."""
        assert self._file is not None  # `open` comes first
        with full_disk_named(self._path):
            values = outcome if outcome.found else outcome[:3]
            self._file.write(json.dumps([*key[:3], *values]) + "\n")
            self._file.flush()


def _settings_in(text: str) -> Mapping[str, Any] | None:
    """The settings in a line of the journal; None if it is another line."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return dict(json.loads(text)["settings"])
    return None
