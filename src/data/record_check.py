"""What a data set holds, what is wrong with it, and how to make a sound one of what is there."""

import array
import contextlib
import os
from typing import NamedTuple

import numpy as np

from src.common.errors import InputError
from src.common.face_image import load_property
from src.common.face_records import FACES, FaceRecordWriter, LayoutError, read_layout
from src.common.log import progress
from src.common.output_files import whole_file
from src.common.photos import decode_stored
from src.common.record_scan import records_at, scan_records
from src.common.records import RecordReader, rebuild_remedy
from src.data.packing import group_by_label

REWRITE_PROPERTY = "write into {}: {},{},{}"


class Problem(NamedTuple):
    """Something wrong: `what`, and the `remedy`."""

    what: str
    remedy: str


class RecordScan(NamedTuple):
    """All that a .rec says by itself, in file order.

    `offsets`, `ids`, `flags` and `labels` (the first of each) are of the image records, arrays (N,)
    of numbers; `ties` counts the records without content (identities, record 0); `damages` are
    (offset, reason).
    """

    offsets: np.ndarray
    ids: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    ties: int
    damages: list


class Inspection(NamedTuple):
    """What a data set holds: its `kind`, the `scan`, `image_size` (H, W) of the first image or
    None, `said` (num_classes, image_size) by property or None, and `problems`."""

    kind: str
    scan: RecordScan
    image_size: tuple | None
    said: object
    problems: list


def scan_images(path_rec):
    """The `RecordScan` of a .rec."""
    offsets, ids, flags = array.array("q"), array.array("q"), array.array("q")
    labels, ties, damages = array.array("f"), 0, []
    for scanned in progress(scan_records(path_rec), "scan", "record"):
        if scanned.damage:
            damages.append((scanned.offset, scanned.damage))
        elif not scanned.record.content:
            ties += 1
        else:
            offsets.append(scanned.offset)
            ids.append(scanned.record.id)
            flags.append(scanned.record.flag)
            labels.append(scanned.record.label[0])
    return RecordScan(*map(np.array, (offsets, ids, flags, labels)), ties, damages)


def picture_size(content):
    """(height, width) of an encoded picture, or None if it cannot be decoded."""
    picture = decode_stored(content)
    return None if picture is None else picture.shape[:2]


def inspect(path_rec, decode=False):
    """The `Inspection` of `path_rec`, its .idx, and the property file beside it.

    Parameters
    ----------
    path_rec : str
    decode : bool
        Try to decode every image, not just the first.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it is no RecordIO file.
    """
    scan = scan_images(path_rec)
    problems = []
    if scan.damages:
        offset, reason = scan.damages[0]
        what = f"{len(scan.damages)} damaged records, the first at byte {offset}: {reason}"
        problems.append(Problem(what, rebuild_remedy(path_rec)))
    kind, layout, found = _inspect_index(path_rec, scan)
    problems += found
    problems += _inspect_labels(path_rec, scan)
    classes = len(layout.identity_ranges) if layout else len(np.unique(scan.labels))
    sizes = [picture_size(record.content) for record in records_at(path_rec, scan.offsets[:1])]
    image_size = sizes[0] if sizes else None
    said, found = _inspect_property(path_rec, classes, image_size)
    problems += found
    if decode:
        problems += _inspect_pictures(path_rec, scan, image_size)
    return Inspection(kind, scan, image_size, said, problems)


def _inspect_index(path_rec, scan):
    """(kind, layout or None, problems) as the index shows the records."""
    try:
        reader = RecordReader(path_rec)
    except (FileNotFoundError, InputError) as error:
        return "no usable index", None, [_split(error)]
    with reader:
        known = np.isin(scan.offsets, reader.offsets)
        problems = []
        if not known.all():
            what = f"{np.sum(~known)} of {len(known)} images are not where {reader.path_idx} says"
            problems.append(Problem(what, rebuild_remedy(path_rec)))
        try:
            return FACES, read_layout(reader), problems
        except LayoutError as error:
            return error.kind, None, [*problems, _split(error)]
        except InputError as error:
            return "damaged", None, [*problems, _split(error)]


def _split(error):
    """A `Problem` of an error that ends in its remedy."""
    what, _, remedy = str(error).rpartition("; ")
    return Problem(what or str(error), remedy if what else "")


def _inspect_labels(path_rec, scan):
    """Problems with the labels of the images."""
    remedy = rebuild_remedy(path_rec)
    labels = np.unique(scan.labels)
    if not len(labels):
        return [Problem("there is no image", "pack it anew: python -m src.data.face2rec2 PREFIX")]
    if np.any(labels != np.floor(labels)) or labels[0] < 0:
        return [Problem("labels that are no identities (0, 1, …)", "pack it anew from a list")]
    problems = []
    if len(labels) != labels[-1] + 1:
        what = f"{len(labels)} labels between {labels[0]:.0f} and {labels[-1]:.0f}, expected 0 to "
        problems.append(Problem(f"{what}{len(labels) - 1}", remedy))
    if group_by_label(scan.labels) is not None:
        what = "the images of an identity do not stand together, so that it counts as several"
        problems.append(Problem(what, remedy))
    return problems


def _inspect_property(path_rec, classes, image_size):
    """(property or None, problems)."""
    folder = os.path.dirname(path_rec) or "."
    path = os.path.join(folder, "property")
    try:
        said = load_property(folder)
    except (FileNotFoundError, InputError) as error:
        remedy = REWRITE_PROPERTY.format(path, classes, *(image_size or (112, 112)))
        return None, [Problem(str(error), remedy)]
    if said.num_classes != classes:
        what = f"property says {said.num_classes} classes, the records hold {classes}"
        return said, [Problem(what, REWRITE_PROPERTY.format(path, classes, *said.image_size))]
    if image_size and list(image_size) != list(said.image_size):
        what = "property says images of {}×{}, the first is {}×{}".format(
            *said.image_size, *image_size
        )
        return said, [Problem(what, "align and pack the photos anew, or correct property")]
    return said, []


def _inspect_pictures(path_rec, scan, image_size):
    bad, odd = [], []
    records = records_at(path_rec, progress(scan.offsets, "decode", "image"))
    for number, record in zip(scan.ids, records, strict=True):
        size = picture_size(record.content)
        if size is None:
            bad.append(str(number))
        elif size != image_size:
            odd.append(str(number))
    problems = []
    if bad:
        what = f"{len(bad)} images cannot be decoded: records {', '.join(bad[:10])}"
        problems.append(Problem(what, rebuild_remedy(path_rec)))
    if odd:
        what = f"{len(odd)} images have another size than the first: records {', '.join(odd[:10])}"
        problems.append(Problem(what, "align the photos and pack them anew"))
    return problems


class RebuildReport(NamedTuple):
    """Counts of a rebuilt set; `skipped` are the numbers of images that cannot be decoded."""

    images: int
    identities: int
    skipped: list
    new_labels: dict
    image_size: tuple


def rebuild(path_rec, scan, path_new):
    """Writes a sound data set of all whole images: grouped, labels 0 … C − 1, index and record 0.

    Parameters
    ----------
    path_rec : str
    scan : RecordScan
    path_new : str
        The new .rec; its .idx appears beside it.

    Raises
    ------
    InputError
        The labels are no identities, or there is no image.
    """
    if np.any(scan.labels != np.floor(scan.labels)) or np.any(scan.labels < 0):
        raise InputError(f"{path_rec}: its labels are no identities (0, 1, …): nothing to rebuild")
    if os.path.exists(path_new) and os.path.samefile(path_rec, path_new):
        raise InputError(f"{path_new} is the data set itself: choose another folder")
    if not len(scan.offsets):
        raise InputError(f"{path_rec}: there is no image in it")
    order = group_by_label(scan.labels)
    order = np.arange(len(scan.labels)) if order is None else order
    skipped, first_size = [], None
    with FaceRecordWriter(path_new) as writer:
        records = records_at(path_rec, progress(scan.offsets[order], "rebuild", "image"))
        for record in records:
            size = picture_size(record.content)
            if size is None:
                skipped.append(record.id)
                continue
            first_size = first_size or size
            # Plain im2rec files have one label; their images are taken for aligned ones.
            aligned = float(record.label[1]) if len(record.label) == 2 else 1.0
            writer.add_image([float(record.label[0]), aligned], record.content)
    return RebuildReport(writer.images, writer.identities, skipped, writer.new_labels, first_size)


def unpack(path_rec, scan, folder):
    """Writes every image as `folder/<label>/<number>.jpg` (or .png); returns how many.

    What an earlier run wrote stays.
    """
    records = records_at(path_rec, progress(scan.offsets, "unpack", "image"))
    for number, label, record in zip(scan.ids, scan.labels, records, strict=True):
        stem = os.path.join(folder, f"{int(label):07d}", f"{number:08d}")
        write_picture(stem, record.content)
    return len(scan.offsets)


def write_picture(stem, content):
    """Writes an encoded picture under the ending that fits; returns its path."""
    path = stem + (".png" if content.startswith(b"\x89PNG") else ".jpg")
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(path) == len(content):
            return path
    with whole_file(path) as file:
        file.write(content)
    return path
