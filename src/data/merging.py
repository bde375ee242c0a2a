"""Several face data sets made one: which identities stay, and why the others go."""

import logging
import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.face_image import load_property, write_property
from src.common.face_records import FaceRecordWriter, open_face_records
from src.common.log import progress
from src.common.output_files import whole_file
from src.data.class_centres import nearest

log = logging.getLogger(__name__)

REPORT_NAME = "merge_report.tsv"
KEPT, DUPLICATE, EXCLUDED, UNREADABLE = "kept", "duplicate", "excluded", "unreadable"
COLUMNS = ("set", "label", "images", "result", "like_set", "like", "similarity", "new_label")


class FaceSet(NamedTuple):
    """An open data set; `ranges` has the images (first, last + 1) of each label 0, 1, …"""

    folder: str
    reader: object
    header: tuple
    ranges: list
    image_size: tuple


class Identity:
    """An identity on its way through the merge.

    `source` is the place of its set in --include and `label` its label there; `similarity` is that
    to the nearest identity of the sets before, or of the excluded set, and `like` the (set name,
    label) of that one.
    """

    __slots__ = ("label", "like", "new_label", "result", "similarity", "source")

    def __init__(self, source, label):
        self.source = source
        self.label = label
        self.result = KEPT
        self.like = None
        self.similarity = None
        self.new_label = None


def open_face_set(folder):
    """The `FaceSet` in a folder.

    Raises
    ------
    FileNotFoundError, InputError
        It is no face data set, or has no property file.
    """
    reader, layout = open_face_records(folder)
    said = load_property(folder)
    ranges = list(layout.identity_ranges.values())
    if said.num_classes != len(ranges):
        log.warning(
            "%s/property says %d classes, the records hold %d identities",
            folder, said.num_classes, len(ranges),
        )  # fmt: skip
    return FaceSet(folder, reader, layout.header, ranges, tuple(said.image_size))


def check_image_sizes(face_sets):
    """Raises InputError unless all sets have images of one size."""
    first = face_sets[0]
    for face_set in face_sets[1:]:
        if face_set.image_size != first.image_size:
            raise InputError(
                "{}: images are {}×{} by its property, those of {} {}×{}: pack them anew in one "
                "size".format(
                    face_set.folder, *face_set.image_size, first.folder, *first.image_size
                )
            )


def drop_duplicates(identities, centres, before, before_centres, names, threshold):
    """Marks the identities of a set that one of the sets before has already.

    2018: identities are compared with those kept from earlier sets, not with others of their own.

    Parameters
    ----------
    identities : list of Identity
    centres : ndarray of shape (C, D)
    before : list of Identity
        Kept so far.
    before_centres : ndarray of shape (K, D)
    names : list of str
        Of the sets.
    threshold : float
        Cosine similarity from which two identities are taken for one (--param1).
    """
    similarities, places = nearest(centres, before_centres)
    for identity, centre, similarity, place in zip(
        identities, centres, similarities, places, strict=True
    ):
        if not centre.any():
            identity.result = UNREADABLE
            continue
        if place >= 0:
            identity.similarity = float(similarity)
            identity.like = (names[before[place].source], before[place].label)
            if similarity >= threshold:
                identity.result = DUPLICATE


def drop_excluded(kept, kept_centres, excluded_centres, name, threshold):
    """Marks the kept identities that the excluded set has, too; returns how many.

    Parameters
    ----------
    kept : list of Identity
    kept_centres, excluded_centres : ndarray of shape (K, D) and (E, D)
        The latter are identities, or single images of a verification set.
    name : str
        Of the excluded set.
    threshold : float
        Cosine similarity from which an identity is taken out (--param2).
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


def write_merged(output, face_sets, identities, bad_images):
    """Writes train.rec, train.idx and property of the kept identities; sets their `new_label`.

    Parameters
    ----------
    output : str
        Folder.
    face_sets : list of FaceSet
    identities : list of Identity
    bad_images : list of set of int
        For each set, the images to leave out.
    """
    kept = [identity for identity in identities if identity.result == KEPT]
    # 2018: a scalar label for each image, and record 0 at the end.
    with FaceRecordWriter(os.path.join(output, "train.rec"), header_last=True) as writer:
        for new_label, identity in enumerate(progress(kept, "write", "identity")):
            face_set = face_sets[identity.source]
            for index in range(*face_set.ranges[identity.label]):
                if index not in bad_images[identity.source]:
                    writer.add_image(new_label, face_set.reader.read(index).content)
            identity.new_label = new_label
    write_property(os.path.join(output, "property"), len(kept), face_sets[0].image_size)
    return writer.images


def write_report(path, identities, face_sets):
    """Writes the table of what became of each identity, tab separated, with a heading."""
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


def sum_up(identities, face_sets):
    """Lines: what became of each set's identities, and how near to --param1 similarities come."""
    lines = []
    for source, face_set in enumerate(face_sets):
        results = [identity.result for identity in identities if identity.source == source]
        counts = ", ".join(
            f"{results.count(result)} {result}"
            for result in (KEPT, DUPLICATE, EXCLUDED, UNREADABLE)
            if result == KEPT or result in results
        )
        lines.append(f"{face_set.folder}: {len(results)} identities, {counts}")
    duplicates = [each.similarity for each in identities if each.result == DUPLICATE]
    kept = [each.similarity for each in identities if each.result == KEPT and each.like]
    if duplicates:
        lines.append(f"least similar duplicate: {min(duplicates):.4f}")
    if kept:
        lines.append(f"kept with the most likeness to an earlier set: {max(kept):.4f}")
    return lines


def stack_centres(parts):
    """(K,D) of a list of rows; (0, 1) of an empty one."""
    return np.stack(parts) if parts else np.zeros((0, 1))
