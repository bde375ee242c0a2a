"""What an unfinished packing has done, so that the same command continues it.

Next to the unfinished records (`.train.rec.part`) is `.train.rec.journal`, with a line for each
chunk of the list: what it was made from, where its records end, and a checksum of them. The next
run renames both to `.train.rec.packed…`, takes from them the chunks whose list lines, settings and
photos are the same, and encodes only the others.

Several machines can encode a part each (`PackedPart`): `train.rec.shard-0-of-3` and its `.journal`
have the same form. A run without parts takes its chunks from them in the same way.
"""

import contextlib
import itertools
import json
import os
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from src.common.output_files import full_disk_named, unfinished_name, whole_file
from src.common.shards import files_in_parts, paths_of_parts
from src.formats.recordio import decode_record, encode_record, pack_payload, unpack_payload


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
        self._shards = _parts_of(path_rec)

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
        parts = [path for part in self._shards for path in (part, f"{part}.journal")]
        for path in (self._packed_journal, self._packed, *parts):
            pathlib.Path(path).unlink(missing_ok=True)

    def earlier(self) -> Iterator[PackedChunk]:
        """Yields the chunks of the earlier run, or of all parts, up to the first incomplete one."""
        done = 0
        for chunk in _read(self._packed, self._packed_journal):
            done += 1
            yield chunk
        of_parts = itertools.chain.from_iterable(_read(p, f"{p}.journal") for p in self._shards)
        yield from itertools.islice(of_parts, done, None)

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
        with full_disk_named(self._path):
            self._file.write(_line(made_from, end, checksum, contents))
            self._file.flush()


class PackedPart:
    """Context manager: writes the chunks of one part; the files appear when all are written.

    Parameters
    ----------
    path
        Of the part, such as `train.rec.shard-0-of-3`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack = contextlib.ExitStack()
        self._end = 0

    def __enter__(self) -> "PackedPart":
        journal = whole_file(f"{self._path}.journal", "w")
        self._journal = self._stack.enter_context(journal)
        self._records = self._stack.enter_context(whole_file(self._path))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, made_from: int, contents: Sequence[bytes | str]) -> None:
        """Adds a chunk: images, or reasons; see `PackJournal.add`."""
        images = [content for content in contents if not isinstance(content, str)]
        encoded = b"".join(encode_record(pack_payload(0, 0, image)) for image in images)
        self._records.write(encoded)
        self._end += len(encoded)
        self._journal.write(_line(made_from, self._end, zlib.crc32(encoded), contents))


def _parts_of(path_rec: str) -> list[str]:
    """The paths of all parts of some records, in order; none if there are no parts."""
    folder, name = os.path.split(path_rec)
    count = files_in_parts(folder or ".").get(name, 0)
    return paths_of_parts(path_rec, count)


def _line(made_from: int, end: int, checksum: int, contents: Sequence[bytes | str]) -> str:
    skipped = {place: text for place, text in enumerate(contents) if isinstance(text, str)}
    return json.dumps([made_from, end, checksum, skipped]) + "\n"


def _read(packed: str, journal_path: str) -> Iterator[PackedChunk]:
    """Yields the chunks in a file, up to the first that is not complete."""
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError),
        open(packed, "rb") as records,
        open(journal_path, "rb") as journal,
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
