"""The files that alignment writes next to the faces: list, skipped photos, journal, table."""

from __future__ import annotations

import contextlib
import csv
import logging
from collections.abc import Iterator
from typing import IO, Any

from src.align.contact_sheet import ContactSheet
from src.align.detector import Found
from src.align.journal import Outcome
from src.align.planning import Job
from src.align.styles import Style
from src.common.output_files import whole_file
from src.formats.photo_set import Item

log = logging.getLogger(__name__)

TABLE_HEADER = (
    "photo", "face", "label", "method", "reason", "score", "x1", "y1", "x2", "y2",
    *(f"{axis}_{part}" for axis in "xy" for part in (
        "left_eye", "right_eye", "nose", "left_mouth", "right_mouth")),
)  # fmt: skip


class Outputs:
    """Writes a line for each photo, in order; the files appear when all are written.

    Parameters
    ----------
    list_path
        The list; skipped photos and the journal have its name, with `.skipped` and `.journal`.
    style
    table
        CSV file with a row for each photo; none if empty.
    report
        HTML page with pictures; none if empty.
    """

    def __init__(self, list_path: str, style: Style, table: str = "", report: str = "") -> None:
        self.list = list_path
        self.skipped = f"{list_path}.skipped"
        self.journal = f"{list_path}.journal"
        self._style = style
        self._table = table
        self._sheet = ContactSheet(report, style.ways) if report else None
        self._files: dict[str, IO[Any]] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Context manager: opens the files for `add`."""
        with contextlib.ExitStack() as stack:
            for path in filter(None, (self.list, self.skipped, self._table)):
                file = whole_file(path, "w", errors="surrogateescape")
                self._files[path] = stack.enter_context(file)
            if self._table:
                self._write_row(TABLE_HEADER)
            yield
        if self._sheet:
            self._sheet.write()

    def add(self, item: Item, job: Job | None, outcome: Outcome) -> None:
        """Adds a photo; without a job it was rejected."""
        target = job.target if job else ""
        if outcome.reason:
            log.warning("%s: skipped: %s", item.image_path, outcome.reason)
            # Names with a tab or newline, which are skipped, must not break this file either.
            name = item.image_path.translate({9: "\\t", 10: "\\n", 13: "\\r"})
            self._files[self.skipped].write(f"{name}\t{outcome.reason}\n")
        else:
            self._files[self.list].write(f"{self._style.line(item, target, outcome)}\n")
        if self._sheet:
            self._sheet.add(item, target or item.image_path, outcome)
        if self._table:
            method = "" if outcome.way is None else self._style.ways[outcome.way]
            face = "" if outcome.reason else target
            row = [item.image_path, face, item.classname, method, outcome.reason]
            if outcome.found:
                found = Found.of(outcome.found)
                box = [f"{value:.2f}" for value in found.box]
                points = [f"{value:.2f}" for value in found.landmark.T.ravel()]
                row += [f"{found.score:.6f}", *box, *points]
            self._write_row([*row, *[""] * (len(TABLE_HEADER) - len(row))])

    def _write_row(self, row: Any) -> None:
        csv.writer(self._files[self._table], lineterminator="\n").writerow(row)
