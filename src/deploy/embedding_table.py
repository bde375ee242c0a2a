"""Embeddings of many pictures in a file that a run can continue."""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from src.common.json_text import parse_json
from src.common.output_files import flush_to_disk, full_disk_named, unfinished_name, whole_file


class EmbeddingTable:
    """A .npy of float32 (N, D), filled from the front, which gets its name when it is complete.

    Parameters
    ----------
    path
        Of the .npy.
    shape
        (N, D)
    identity
        What the embeddings depend on, as plain values; unfinished ones of another identity are
        started again.
    """

    def __init__(self, path: str, shape: tuple[int, int], identity: Any) -> None:
        self.path = path
        folder, name = os.path.split(path)
        self._part = os.path.join(folder, unfinished_name(name))
        self._journal = f"{self._part}.json"
        checksum = zlib.crc32(json.dumps([identity, shape]).encode())
        self._state: dict[str, Any] = {"checksum": checksum, "rows": 0, "notes": {}}
        os.makedirs(folder or ".", exist_ok=True)
        mode = "r+" if self._read_journal(checksum) else "w+"
        with full_disk_named(path, 4 * shape[0] * shape[1]):
            self._rows = np.lib.format.open_memmap(
                self._part, mode=mode, dtype=np.float32, shape=shape
            )

    def _read_journal(self, checksum: int) -> bool:
        """Whether there is an unfinished table of the same identity; reads its state."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            with open(self._journal, "rb") as file:
                found = parse_json(file.read())
            if found["checksum"] == checksum and os.path.exists(self._part):
                self._state["rows"] = int(found["rows"])
                self._state["notes"] = {str(row): str(note) for row, note in found["notes"].items()}
                return True
        return False

    @property
    def rows(self) -> int:
        """How many rows are written."""
        return int(self._state["rows"])

    @property
    def notes(self) -> dict[int, str]:
        """Row → why a picture has no embedding."""
        return {int(row): note for row, note in self._state["notes"].items()}

    def add(self, rows: np.ndarray, notes: Sequence[str]) -> None:
        """Appends rows (n, D), and why each has no embedding, or ''."""
        begin = self.rows
        with full_disk_named(self.path):
            self._rows[begin : begin + len(rows)] = rows
            self._rows.flush()
            self._state["rows"] += len(rows)
            said = {str(begin + place): note for place, note in enumerate(notes) if note}
            self._state["notes"].update(said)
            with whole_file(self._journal, "w") as file:
                json.dump(self._state, file)

    def finish(self) -> None:
        """Gives the file its name."""
        with open(self._part, "r+b") as file:
            flush_to_disk(file)
        os.replace(self._part, self.path)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._journal)


def blocks(first: int, count: int, size: int) -> Iterator[range]:
    """Ranges of up to `size` places in [first, count)."""
    for begin in range(first, count, size):
        yield range(begin, min(begin + size, count))
