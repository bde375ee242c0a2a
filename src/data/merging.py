"""Several face data sets merged into one: which identities are kept, and why others are not."""

import logging
import os
from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.log import progress
from src.common.output_files import whole_file
from src.data.nearest_centres import nearest
from src.formats.face_layout import check_own_labels, open_face_records
from src.formats.face_records import FaceRecordWriter
from src.formats.property import load_property, write_property
from src.formats.records import RecordReader

log = logging.getLogger(__name__)

REPORT_NAME = "merge_report.tsv"
KEPT, DUPLICATE, EXCLUDED, UNREADABLE = "kept", "duplicate", "excluded", "unreadable"
COLUMNS = ("set", "label", "images", "result", "like_set", "like", "similarity", "new_label")


class FaceSet(NamedTuple):
    """An open data set.

    `header` is the label of record 0, `ranges` contains the images (first, last + 1) of each label
    0, 1, …, and `image_size` is (height, width).
    """

    folder: str
    reader: RecordReader
    header: tuple[int, int]
    ranges: list[tuple[int, int]]
    image_size: tuple[int, int]


class Identity:
    """An identity during a merge.

    Parameters
    ----------
    source
        Index of its set in --include.
    label
        In that set.

    Attributes
    ----------
    result
        KEPT, DUPLICATE, EXCLUDED or UNREADABLE.
    like
        (set name, label) of the most similar identity in earlier sets, or in the excluded set.
    similarity
        Cosine similarity to `like`.
    new_label
        In the merged set, if kept.
    """

    __slots__ = ("label", "like", "new_label", "result", "similarity", "source")

    def __init__(self, source: int, label: int) -> None:
        self.source = source
        self.label = label
        self.result = KEPT
        self.like: tuple[str, int] | None = None
        self.similarity: float | None = None
        self.new_label: int | None = None


def open_face_set(folder: str) -> FaceSet:
    """The `FaceSet` in a folder.

    Raises
    ------
    FileNotFoundError, InputError
        It is not a face data set, or has no property file.
    """
    reader, layout = open_face_records(folder)
    check_own_labels(reader, layout)
    declared = load_property(folder)
    ranges = list(layout.identity_ranges.values())
    if declared.num_classes != len(ranges):
        log.warning(
            "%s/property gives %d classes, but the records have %d identities",
            folder,
            declared.num_classes,
            len(ranges),
        )
    height, width = declared.image_size
    return FaceSet(folder, reader, layout.header, ranges, (height, width))


def check_image_sizes(face_sets: Sequence[FaceSet]) -> None:
    """Raises InputError unless all sets have images of one size."""
    first = face_sets[0]
    for face_set in face_sets[1:]:
        if face_set.image_size != first.image_size:
            raise InputError(
                "{}/property gives images of {}×{} pixels, but {}/property {}×{}: pack both sets "
                "in one size".format(
                    face_set.folder, *face_set.image_size, first.folder, *first.image_size
                )
            )


def drop_duplicates(
    identities: Sequence[Identity],
    centres: np.ndarray,
    kept: Sequence[Identity],
    kept_centres: np.ndarray,
    names: Sequence[str],
    threshold: float,
) -> None:
    """Marks the identities of a set that an earlier set already contains.

    2018: identities are compared with those kept from earlier sets, not with others in their set.

    Parameters
    ----------
    identities, centres
        Of the set; the centres are unit rows (C, D), zero for identities without a readable image.
    kept, kept_centres
        From earlier sets; the centres are unit rows (K, D).
    names
        Of all sets.
    threshold
        Lowest cosine similarity of duplicates (--param1).
    """
    similarities, places = nearest(centres, kept_centres)
    for identity, centre, similarity, place in zip(
        identities, centres, similarities, places, strict=True
    ):
        if not centre.any():
            identity.result = UNREADABLE
            continue
        if place >= 0:
            identity.similarity = float(similarity)
            identity.like = (names[kept[place].source], kept[place].label)
            if similarity >= threshold:
                identity.result = DUPLICATE


def drop_excluded(
    kept: Sequence[Identity],
    kept_centres: np.ndarray,
    excluded_centres: np.ndarray,
    name: str,
    threshold: float,
) -> int:
    """Marks the kept identities that the excluded set also contains; returns how many.

    Parameters
    ----------
    kept, kept_centres
        The centres are unit rows (K, D).
    excluded_centres
        Unit rows (E, D) of identities, or of single images of a verification set.
    name
        Of the excluded set.
    threshold
        Lowest cosine similarity of the same person (--param2).
    """
    similarities, places = nearest(kept_centres, excluded_centres)
    count = 0
    for identity, similarity, place in zip(kept, similarities, places, strict=True):
        if place >= 0 and similarity >= threshold:
            identity.result = EXCLUDED
            identity.like = (name, int(place))
            identity.similarity = float(similarity)
            count += 1
    return count


def write_merged(
    output: str,
    face_sets: Sequence[FaceSet],
    identities: Sequence[Identity],
    bad_images: Sequence[Container[int]],
) -> int:
    """Writes train.rec, train.idx and property of the kept identities; sets their `new_label`.

    Parameters
    ----------
    output
        Folder.
    bad_images
        For each set, the numbers of the images to leave out.

    Returns
    -------
    images
        How many were written.
    """
    kept = [identity for identity in identities if identity.result == KEPT]
    # 2018: each image has a scalar label, and record 0 is at the end.
    with FaceRecordWriter(os.path.join(output, "train.rec"), header_last=True) as writer:
        for new_label, identity in enumerate(progress(kept, "write", "identity")):
            face_set = face_sets[identity.source]
            for index in range(*face_set.ranges[identity.label]):
                if index not in bad_images[identity.source]:
                    writer.add_image(new_label, face_set.reader.read(index).content)
            identity.new_label = new_label
    write_property(os.path.join(output, "property"), len(kept), face_sets[0].image_size)
    return writer.images


def write_report(path: str, identities: Sequence[Identity], face_sets: Sequence[FaceSet]) -> None:
    """Writes what happened to each identity as a table, tab-separated, with a heading."""
    with whole_file(path, "w") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for identity in identities:
            face_set = face_sets[identity.source]
            start, stop = face_set.ranges[identity.label]
            like_set, like = identity.like or ("", "")
            fields = (
                face_set.folder,
                identity.label,
                stop - start,
                identity.result,
                like_set,
                like,
                "" if identity.similarity is None else f"{identity.similarity:.4f}",
                "" if identity.new_label is None else identity.new_label,
            )
            file.write("\t".join(map(str, fields)) + "\n")


def summary_lines(identities: Sequence[Identity], face_sets: Sequence[FaceSet]) -> list[str]:
    """Lines to print: the results in each set, and the similarities closest to --param1."""
    lines = []
    for source, face_set in enumerate(face_sets):
        results = [identity.result for identity in identities if identity.source == source]
        counts = ", ".join(
            f"{results.count(result)} {result}"
            for result in (KEPT, DUPLICATE, EXCLUDED, UNREADABLE)
            if result == KEPT or result in results
        )
        lines.append(f"{face_set.folder}: {len(results)} identities, {counts}")
    duplicates = _similarities(identities, DUPLICATE)
    kept = _similarities(identities, KEPT)
    if duplicates:
        lines.append(f"lowest similarity among the duplicates: {min(duplicates):.4f}")
    if kept:
        lines.append(f"highest similarity of a kept identity to an earlier set: {max(kept):.4f}")
    return lines


def _similarities(identities: Sequence[Identity], result: str) -> list[float]:
    """Similarities of the identities that have this result and were compared with others."""
    return [
        identity.similarity
        for identity in identities
        if identity.result == result and identity.similarity is not None
    ]


def stack_centres(centres: Sequence[np.ndarray]) -> np.ndarray:
    """The centres as rows (K, D); (0, 1) if there are none."""
    return np.stack(centres) if centres else np.zeros((0, 1))
