"""Finds what is wrong with a data set, and makes a valid one of its intact images."""

import os
from typing import NamedTuple

import numpy as np
from easydict import EasyDict

from src.common.errors import InputError
from src.common.log import progress
from src.common.photos import decode_stored
from src.data.image_records import RecordScan, scan_images
from src.data.training_lists import group_by_label
from src.formats.face_layout import (
    FACES,
    FaceLayout,
    LayoutError,
    read_layout,
)
from src.formats.face_records import FaceRecordWriter, check_count
from src.formats.property import load_property
from src.formats.record_scan import records_at
from src.formats.recordio import LARGEST_EXACT
from src.formats.records import RecordReader, rebuild_remedy

REWRITE_PROPERTY = "write this line to {}: {},{},{}"


class Problem(NamedTuple):
    """What is wrong, and how to fix it; the remedy is '' if it is part of `what`."""

    what: str
    remedy: str


class Inspection(NamedTuple):
    """What a data set contains and what is wrong with it.

    `kind` is 'face data set' or what the records are instead, `image_size` the (height, width) of
    the first image, or None, and `declared` the contents of the property file, or None.
    """

    kind: str
    scan: RecordScan
    image_size: tuple[int, int] | None
    declared: EasyDict | None
    problems: list[Problem]


def decoded_size(content: bytes) -> tuple[int, int] | None:
    """(height, width) of an encoded image, or None if it cannot be decoded."""
    image = decode_stored(content)
    if image is None:
        return None
    height, width = image.shape[:2]
    return height, width


def inspect(path_rec: str, decode: bool = False) -> Inspection:
    """The `Inspection` of `path_rec`, its .idx, and the property file next to it.

    Parameters
    ----------
    decode
        Decode every image, not only the first.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it is not a RecordIO file.
    """
    scan = scan_images(path_rec)
    problems = []
    if scan.damages:
        offset, reason = scan.damages[0]
        what = f"{len(scan.damages)} damaged records, the first at byte {offset}: {reason}"
        problems.append(Problem(what, rebuild_remedy(path_rec)))
    kind, layout, found = _inspect_index(path_rec, scan)
    problems += found
    problems += _inspect_labels(path_rec, scan, layout)
    classes = len(np.unique(scan.labels))
    sizes = [decoded_size(record.content) for record in records_at(path_rec, scan.offsets[:1])]
    image_size = sizes[0] if sizes else None
    declared, found = _inspect_property(path_rec, classes, image_size)
    problems += found
    if decode:
        problems += _inspect_images(path_rec, scan, image_size)
    return Inspection(kind, scan, image_size, declared, problems)


def _inspect_index(path_rec: str, scan: RecordScan) -> tuple[str, FaceLayout | None, list[Problem]]:
    """(kind, layout or None, problems) of the records as the index lists them."""
    try:
        reader = RecordReader(path_rec)
    except (FileNotFoundError, InputError) as error:
        return "no usable index", None, [_problem_of(error)]
    with reader:
        known = np.isin(scan.offsets, reader.offsets)
        problems = []
        if not known.all():
            wrong = f"{np.sum(~known)} of {len(known)} images"
            what = f"{reader.path_idx} has no offset, or a wrong one, for {wrong}"
            problems.append(Problem(what, rebuild_remedy(path_rec)))
        try:
            return FACES, read_layout(reader), problems
        except LayoutError as error:
            return error.kind, None, [*problems, _problem_of(error)]
        except InputError as error:
            return "damaged", None, [*problems, _problem_of(error)]


def _problem_of(error: Exception) -> Problem:
    """The `Problem` that an error describes; the part after its last semicolon is the remedy."""
    what, _, remedy = str(error).rpartition("; ")
    return Problem(what or str(error), remedy if what else "")


def _inspect_labels(path_rec: str, scan: RecordScan, layout: FaceLayout | None) -> list[Problem]:
    """Problems with the labels of the images, and with their identity records if there are any."""
    remedy = rebuild_remedy(path_rec)
    labels = np.unique(scan.labels)
    if not len(labels):
        return [Problem("there are no images", "pack again: python -m src.data.face2rec2 PREFIX")]
    if not _are_identities(labels):
        return [Problem("some labels are not identities (0, 1, …)", "pack it again from a list")]
    problems = []
    if len(labels) != labels[-1] + 1:
        found = f"{len(labels)} labels between {labels[0]:.0f} and {labels[-1]:.0f}"
        problems.append(Problem(f"{found}, expected 0 to {len(labels) - 1}", remedy))
    if group_by_label(scan.labels) is not None:
        what = "the images of an identity are not consecutive, so it counts as several"
        problems.append(Problem(what, remedy))
    elif layout and len(layout.identity_ranges) != len(labels):
        what = f"{len(layout.identity_ranges)} identity records for {len(labels)} labels"
        problems.append(Problem(f"{what}, so a label counts as several identities", remedy))
    return problems


def _are_identities(labels: np.ndarray) -> bool:
    in_range = np.all((labels >= 0) & (labels <= LARGEST_EXACT))  # neither NaN nor infinite
    return bool(in_range and np.all(labels == np.floor(labels)))


def _inspect_property(
    path_rec: str, classes: int, image_size: tuple[int, int] | None
) -> tuple[EasyDict | None, list[Problem]]:
    """(contents of the property file or None, problems)."""
    folder = os.path.dirname(path_rec) or "."
    path = os.path.join(folder, "property")
    try:
        declared = load_property(folder)
    except (FileNotFoundError, InputError) as error:
        remedy = REWRITE_PROPERTY.format(path, classes, *(image_size or (112, 112)))
        return None, [Problem(str(error), remedy)]
    if declared.num_classes != classes:
        what = f"property gives {declared.num_classes} classes, but the records have {classes}"
        remedy = REWRITE_PROPERTY.format(path, classes, *declared.image_size)
        return declared, [Problem(what, remedy)]
    if image_size and list(image_size) != list(declared.image_size):
        what = "property gives images of {}×{}, but the first is {}×{}".format(
            *declared.image_size, *image_size
        )
        return declared, [Problem(what, "align and pack the photos again, or correct property")]
    return declared, []


def _inspect_images(
    path_rec: str, scan: RecordScan, image_size: tuple[int, int] | None
) -> list[Problem]:
    """Problems with the images themselves; `image_size` is that of the first."""
    bad, odd = [], []
    records = records_at(path_rec, progress(scan.offsets, "decode", "image"))
    for number, record in zip(scan.ids, records, strict=True):
        size = decoded_size(record.content)
        if size is None:
            bad.append(str(number))
        elif size != image_size:
            odd.append(str(number))
    problems = []
    if bad:
        what = f"{len(bad)} images cannot be decoded: records {', '.join(bad[:10])}"
        problems.append(Problem(what, rebuild_remedy(path_rec)))
    if odd:
        what = f"{len(odd)} images differ in size from the first: records {', '.join(odd[:10])}"
        problems.append(Problem(what, "align the photos and pack them again"))
    return problems


class RebuildReport(NamedTuple):
    """Counts of a rebuilt set.

    `skipped` has the numbers of images that cannot be decoded, `new_labels` maps old labels to new
    ones if they changed, and `image_size` is the (height, width) of the first image.
    """

    images: int
    identities: int
    skipped: list[int]
    new_labels: dict[float, int]
    image_size: tuple[int, int]


def rebuild(path_rec: str, scan: RecordScan, path_new: str) -> RebuildReport:
    """Writes a valid data set of all intact images, grouped by label, with labels 0 … C − 1.

    Parameters
    ----------
    path_new
        The new .rec; its .idx is written next to it.

    Raises
    ------
    InputError
        The labels are not identities, or there is no image.
    """
    if not _are_identities(scan.labels):
        raise InputError(
            f"{path_rec}: some labels are not identities (0, 1, …), so it cannot be rebuilt; pack "
            "it again from a list"
        )
    if os.path.exists(path_new) and os.path.samefile(path_rec, path_new):
        raise InputError(f"{path_new} is the data set itself: choose another folder")
    if not len(scan.offsets):
        raise InputError(f"{path_rec}: it contains no image")
    check_count(len(scan.offsets), len(np.unique(scan.labels)), path_rec)
    order = group_by_label(scan.labels)
    order = np.arange(len(scan.labels)) if order is None else order
    skipped: list[int] = []
    first_size = None
    with FaceRecordWriter(path_new) as writer:
        records = records_at(path_rec, progress(scan.offsets[order], "rebuild", "image"))
        for record in records:
            size = decoded_size(record.content)
            if size is None:
                skipped.append(record.id)
                continue
            first_size = first_size or size
            # Plain im2rec files have one label; their images are assumed to be aligned.
            aligned = float(record.label[1]) if len(record.label) == 2 else 1.0
            writer.add_image([float(record.label[0]), aligned], record.content)
    assert first_size is not None  # the writer raises an error if it gets no image
    return RebuildReport(writer.images, writer.identities, skipped, writer.new_labels, first_size)
