"""What an unfinished packing has done, so that the same command continues it.

Next to the unfinished records (`.train.rec.part`) is `.train.rec.journal`, with a line for each
chunk of the list: what it was made from, where its records end, and a checksum of them. The next
run renames both to `.train.rec.packed…`, takes from them the chunks whose list lines, settings and
photos are the same, and encodes only the others.
"""

import contextlib
import json
import os
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from src.common.output_files import full_disk_named, unfinished_name
from src.formats.recordio import decode_record, unpack_payload


class PackedChunk(NamedTuple):
    """A chunk of an earlier run: `contents` has the encoded image of each line, or the reason."""

    made_from: int
    contents: list[bytes | str]


class PackJournal:
    """Context manager: the chunks of an earlier run, and a file for those of this one.

    Parameters
    ----------
    path_rec
        The records that are being packed.
    """

    def __init__(self, path_rec: str) -> None:
        folder, name = os.path.split(path_rec)
        self._part = os.path.join(folder, unfinished_name(name))
        self._path = os.path.join(folder, f".{name}.journal")
        self._packed = os.path.join(folder, f".{name}.packed")
        self._packed_journal = f"{self._packed}.journal"

    def __enter__(self) -> "PackJournal":
        # Those of a run before the last are more complete if the last one was killed meanwhile.
        if not os.path.exists(self._packed_journal) and os.path.exists(self._part):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._path, self._packed_journal)
                os.replace(self._part, self._packed)
        self._file = open(self._path, "w", encoding="ascii")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None or not os.path.exists(self._part):
            pathlib.Path(self._path).unlink(missing_ok=True)
        if kind is None:
            self.forget_earlier()

    def forget_earlier(self) -> None:
        """Removes what the earlier run has left, once this run has more."""
        for path in (self._packed_journal, self._packed):
            pathlib.Path(path).unlink(missing_ok=True)

    def earlier(self) -> Iterator[PackedChunk]:
        """Yields the chunks of the earlier run, up to the first that is not complete."""
        with (
            contextlib.suppress(OSError, ValueError, KeyError, TypeError),
            open(self._packed, "rb") as records,
            open(self._packed_journal, "rb") as journal,
        ):
            begin = 0
            for line in journal:
                made_from, end, checksum, skipped = json.loads(line)
                records.seek(begin)
                encoded = records.read(end - begin)
                if len(encoded) != end - begin or zlib.crc32(encoded) != checksum:
                    return
                yield PackedChunk(int(made_from), _contents(encoded, skipped))
                begin = end

    def add(self, made_from: int, end: int, checksum: int, contents: Sequence[bytes | str]) -> None:
        """Adds a chunk whose records are in the file.

        Parameters
        ----------
        made_from
            Checksum of its list lines, the settings and the stamps of its photos.
        end, checksum
            Where its records end in the file, and their CRC-32.
        contents
            As in `PackedChunk`.
        """
        skipped = {place: text for place, text in enumerate(contents) if isinstance(text, str)}
        with full_disk_named(self._path):
            self._file.write(json.dumps([made_from, end, checksum, skipped]) + "\n")
            self._file.flush()


def _contents(encoded: bytes, skipped: dict[str, str]) -> list[bytes | str]:
    """The images of a chunk's records, with the reasons of skipped lines at their places."""
    contents: list[bytes | str] = []
    offset = 0
    while offset < len(encoded) or str(len(contents)) in skipped:
        if str(len(contents)) in skipped:
            contents.append(skipped[str(len(contents))])
            continue
        payload, offset = decode_record(lambda at, n: encoded[at : at + n], offset)
        contents.append(unpack_payload(payload).content)
    return contents
