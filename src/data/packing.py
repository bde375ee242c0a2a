"""Turns the lines of a list into the records of a face data set."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.parallel import ordered_map
from src.common.shards import Shard
from src.data.face_encoding import EncodedFace, PackSettings, Task, encode_chunk, made_from
from src.data.pack_journal import PackedPart, PackJournal
from src.data.person_folders import printable
from src.data.training_lists import NumberedLine, grouped_lines, read_listed_photos
from src.formats.face_records import FaceRecordWriter, check_count
from src.formats.lists import parse_lst_line

log = logging.getLogger(__name__)

CHUNK = 64  # photos per task: then handing out tasks costs little compared with decoding


class PackReport(NamedTuple):
    """Counts of a packed list.

    `skipped` has (line number, reason), `lost` the labels of people without any photo left, and
    `new_labels` the mapping from old to new if the labels in the list were not 0 … C − 1.
    """

    images: int
    identities: int
    skipped: list[tuple[int, str]]
    lost: list[int]
    new_labels: dict[int, int]


def pack_list(
    path_list: str,
    path_rec: str,
    settings: PackSettings,
    workers: int = 1,
    on_count: Callable[[int], None] | None = None,
) -> PackReport:
    """Packs a list into `path_rec` and its .idx.

    The bytes do not depend on `workers`, nor on whether an earlier run was stopped on the way.
    Photos that cannot be read are logged and skipped.

    Parameters
    ----------
    workers
        Number of threads if all photos are aligned, because decoding releases the GIL; otherwise
        of processes.
    on_count
        Called before each photo with the number of photos so far.

    Raises
    ------
    InputError
        The list is malformed, or none of its photos can be read.
    """
    photos = read_listed_photos(path_list)
    # Labels in the list may be any numbers; the writer gets their ranks, which are exact.
    labels = np.unique(photos.labels)
    check_count(len(photos.lines), len(labels), path_list)
    lines = grouped_lines(photos, path_list)
    skipped: list[tuple[int, str]] = []
    count = 0
    with PackJournal(path_rec) as journal, FaceRecordWriter(path_rec, keep=True) as writer:
        for chunk, origin, results in _encoded_chunks(lines, settings, workers, journal):
            for (number, _), result in zip(chunk, results, strict=True):
                if on_count:
                    on_count(count)
                count += 1
                if isinstance(result, str):
                    skipped.append((number, result))
                    log.warning("%s: line %d skipped: %s", path_list, number, printable(result))
                else:
                    label, aligned, content = result
                    writer.add_image([int(np.searchsorted(labels, label)), aligned], content)
            contents = [each if isinstance(each, str) else each[2] for each in results]
            journal.add(origin, *writer.written(), contents)
        if not writer.images:
            raise InputError(
                f"{path_list}: none of {len(lines)} photos can be packed; the first: "
                f"{printable(skipped[0][1])}"
            )
    packed = np.sort(labels[np.array(writer.labels, np.int64)])
    lost = np.setdiff1d(labels, packed).tolist()
    new_labels = {old: new for new, old in enumerate(packed.tolist())}
    if all(old == new for old, new in new_labels.items()):
        new_labels = {}
    return PackReport(writer.images, writer.identities, skipped, lost, new_labels)


def pack_part(
    path_list: str, path_rec: str, settings: PackSettings, workers: int, shard: Shard
) -> tuple[int, int]:
    """(photos, those that were skipped) of one part of a list, encoded for `pack_list`.

    Writes the file `path_rec` with the shard's suffix and its journal, see `PackedPart`.
    """
    photos = read_listed_photos(path_list)
    check_count(len(photos.lines), len(np.unique(photos.labels)), path_list)
    all_chunks = _chunks(grouped_lines(photos, path_list), settings)
    chunks = [all_chunks[place] for place in shard.places(len(all_chunks))]
    skipped = 0
    with PackedPart(path_rec + shard.suffix) as part:
        for origin, results in _encode(chunks, workers):
            reasons = [each for each in results if isinstance(each, str)]
            for reason in reasons:
                log.warning("%s: skipped: %s", path_list, printable(reason))
            skipped += len(reasons)
            part.add(origin, [each if isinstance(each, str) else each[2] for each in results])
    return sum(len(chunk) for chunk, _ in chunks), skipped


def _encoded_chunks(
    lines: list[NumberedLine], settings: PackSettings, workers: int, journal: PackJournal
) -> Iterator[tuple[list[NumberedLine], int, list[EncodedFace | str]]]:
    """Yields (lines, what they were made from, their faces or reasons) for each chunk, in order."""
    chunks = _chunks(lines, settings)
    done = 0
    for (chunk, _), earlier in zip(chunks, journal.earlier(), strict=False):
        if earlier.made_from != made_from(chunk, settings) or len(earlier.contents) != len(chunk):
            break
        yield chunk, earlier.made_from, _faces(chunk, earlier.contents)
        done += 1
    if done:
        log.info("%d of %d photos are packed already", min(done * CHUNK, len(lines)), len(lines))
    journal.forget_earlier()
    results = _encode(chunks[done:], workers)
    for (chunk, _), (origin, encoded) in zip(chunks[done:], results, strict=True):
        yield chunk, origin, encoded


def _chunks(lines: list[NumberedLine], settings: PackSettings) -> list[Task]:
    return [(lines[at : at + CHUNK], settings) for at in range(0, len(lines), CHUNK)]


def _encode(chunks: list[Task], workers: int) -> Iterator[tuple[int, list[EncodedFace | str]]]:
    """Yields the results of `encode_chunk`, in order."""
    return ordered_map(
        encode_chunk,
        chunks,
        workers,
        "pack",
        unit=f"{CHUNK} photos",
        threads=all(line.startswith("1") for chunk, _ in chunks for _, line in chunk),
        name=lambda chunk: f"list lines {chunk[0][0][0]} to {chunk[0][-1][0]}",
    )


def _faces(
    chunk: Sequence[NumberedLine], contents: Sequence[bytes | str]
) -> list[EncodedFace | str]:
    faces: list[EncodedFace | str] = []
    for (_, line), content in zip(chunk, contents, strict=True):
        if isinstance(content, str):
            faces.append(content)
        else:
            _, label, _, _, aligned = parse_lst_line(line)
            faces.append((label, aligned, content))
    return faces
