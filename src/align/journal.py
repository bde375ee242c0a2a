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

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TextIO

from src.common.encoded_image import begins_as_image
from src.common.output_files import full_disk_named

VERSION = 2
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


class _Known(NamedTuple):
    outcome: Outcome
    key: tuple[str, ...]  # (stamp, known), or the fingerprint of version 1.1.0
    settings: Mapping[str, Any]


class Journal:
    """Outcomes of earlier runs, and a file to which new ones are appended one by one.

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
        self._known: dict[str, _Known] = {}
        self._ends_complete = True
        self._file: TextIO | None = None
        if os.path.exists(path):
            self._read()

    def _read(self) -> None:
        settings: Mapping[str, Any] | None = None
        with open(self._path, encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                self._ends_complete = line.endswith("\n")
                try:
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        settings = dict(entry["settings"])
                    elif len(entry) == 5:
                        name, fingerprint, *outcome = entry
                        self._known[name] = _Known(Outcome(*outcome), (fingerprint,), {})
                    elif settings is not None:
                        name, stamp, known, *outcome = entry
                        self._known[name] = _Known(Outcome(*outcome), (stamp, known), settings)
                except (ValueError, TypeError, KeyError, RecursionError):
                    settings = None

    def outcome(self, key: Key, target: str) -> Outcome | None:
        """The outcome of an earlier run that is still valid, or None.

        The aligned face must still exist, at `target` if that is not empty, and begin as an image;
        a photo that could not be read is tried again.
        """
        known = self._known.get(key.name)
        if known is None or not known.outcome.final:
            return None
        if known.key == (key.version_1,):  # which covers these settings
            names = self._settings.keys() & set(SETTINGS_OF_VERSION_1)
            recorded = {name: self._settings[name] for name in names}
        elif known.key == (key.stamp, key.known):
            recorded = {**self._defaults, **known.settings}
        else:
            return None
        if {**self._defaults, **recorded} != {**self._defaults, **self._settings}:
            return None
        if known.outcome.way is not None and target:
            with contextlib.suppress(OSError):
                return known.outcome if begins_as_image(target) else None
            return None
        return known.outcome

    def aligned(self) -> list[str]:
        """Names of the faces that earlier runs wrote."""
        return [name for name, known in self._known.items() if known.outcome.way is not None]

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
