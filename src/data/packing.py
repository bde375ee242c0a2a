"""From the lines of a list to the records of a face data set."""

import logging
import os
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from src.common.errors import InputError
from src.common.face_preprocess import parse_lst_line, preprocess, read_image
from src.common.face_records import FaceRecordWriter
from src.common.parallel import ordered_map
from src.common.photos import DECODE_ERRORS, decode_photo, decode_stored
from src.data.person_folders import printable

log = logging.getLogger(__name__)

CHUNK = 64  # photos a task: the work of handing tasks out stays small beside decoding
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


class ListedPhotos(NamedTuple):
    """A list's photos: `lines`, pairs of line number and text; `labels`, int64 (N,); and
    `left_out`, how many lines are neither aligned nor have landmarks."""

    lines: list
    labels: np.ndarray
    left_out: int


class PackSettings(NamedTuple):
    """How unaligned photos are read and encoded; `color` is 1 colour, 0 grey, -1 as the photo is,
    `image_size` height and width, `folder` that of the list, for relative paths."""

    image_size: tuple
    quality: int
    encoding: str
    color: int
    folder: str


class PackReport(NamedTuple):
    """What became of a list: counts, `skipped` (line number, reason), `lost` labels of people
    without any photo left, and `new_labels` (old to new) where the list's were not 0 … C − 1."""

    images: int
    identities: int
    skipped: list
    lost: list
    new_labels: dict


def read_training_lines(path):
    """Yields (line number, text, what `parse_lst_line` gives) for a list's lines but blank ones.

    Raises
    ------
    InputError
        A line is malformed, or has a negative label; names file and line.
    """
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                fields = parse_lst_line(line)
            except InputError as error:
                raise InputError(f"{path}: line {number}: {error}") from None
            if fields[1] < 0:
                raise InputError(
                    f"{path}: line {number}: label {fields[1]}: a training set needs the labels 0, "
                    "1, …; this is a list of photos without identities"
                )
            yield number, line.rstrip("\n"), fields


def read_listed_photos(path):
    """The `ListedPhotos` of a list file.

    Raises
    ------
    InputError
        As `read_training_lines`; or there is no photo to pack.
    """
    lines, labels, left_out = [], [], 0
    for number, line, (_, label, _, landmark, aligned) in read_training_lines(path):
        if not aligned and landmark is None:
            left_out += 1
            continue
        lines.append((number, line))
        labels.append(label)
    if not lines:
        raise InputError(
            f"{path}: no photo to pack (lines `1<TAB>path<TAB>label`; {left_out} lines are neither "
            "aligned nor have landmarks)"
        )
    return ListedPhotos(lines, np.array(labels, np.int64), left_out)


def group_by_label(labels):
    """Order (N,) that puts photos of equal label together; None where they stand so already.

    Labels come in the order of their first appearance, the photos of each in list order.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    if len(np.unique(labels)) == len(starts):
        return None
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(first[inverse], kind="stable")


def find_photo(path, folder):
    """The path as it stands if there is such a file, else taken from the list's folder."""
    beside_list = os.path.join(folder, path)
    return beside_list if not os.path.exists(path) and os.path.exists(beside_list) else path


def encode_line(line, settings):
    """(label, aligned, encoded image) of a list line; raises as `encode_photo`."""
    path, label, bbox, landmark, aligned = parse_lst_line(line)
    path = find_photo(path, settings.folder)
    return label, aligned, encode_photo(path, bbox, landmark, aligned, settings)


def encode_photo(path, bbox, landmark, aligned, settings):
    """The encoded face of a photo.

    An aligned one passes through byte for byte, after a look whether it can be decoded; another is
    warped by its landmarks (5,2) and encoded.

    Raises
    ------
    InputError, OSError
        The photo is missing, unreadable, or not of the size that the data set has.
    """
    if aligned:
        with open(path, "rb") as file:
            content = file.read()
        check_aligned(content, path, settings.image_size)
        return content
    image = read_image(path, mode=_read_mode(path, settings.color))
    size = "{},{}".format(*settings.image_size)
    face = preprocess(image, bbox=bbox, landmark=landmark, image_size=size)
    return encode_face(face, settings)


def _read_mode(path, color):
    if color < 0:
        try:
            with Image.open(path) as photo:
                color = photo.mode not in ("1", "L", "LA")
        except DECODE_ERRORS:
            color = True  # reading it will say what is wrong
    return "rgb" if color else "gray"


def encode_face(face, settings):
    """Encoded bytes of a face (H,W,3) RGB or (H,W) grey."""
    parameter = cv2.IMWRITE_JPEG_QUALITY
    quality = settings.quality
    if settings.encoding == ".png":
        # 2018: --quality is PNG's compression, 1 to 9; the JPEG default is above it.
        parameter, quality = cv2.IMWRITE_PNG_COMPRESSION, min(settings.quality, 9)
    picture = face if face.ndim == 2 else np.ascontiguousarray(face[..., ::-1])
    _, encoded = cv2.imencode(settings.encoding, picture, [parameter, quality])
    return encoded.tobytes()


def check_aligned(content, path, image_size):
    """Raises InputError unless the bytes are a picture of that size which training can decode."""
    if not content:
        raise InputError(f"{path}: the file is empty")
    picture = decode_stored(content)
    if picture is None:
        raise InputError(f"{path}: not a picture that training can decode (JPEG or PNG)")
    if picture.shape[:2] != tuple(image_size):
        raise InputError(
            "{}: {}×{} pixels, but the data set has {}×{}: align it first".format(
                path, *picture.shape[:2], *image_size
            )
        )
    # OpenCV fills what is missing of a truncated JPEG with grey; Pillow refuses it.
    if content.startswith(JPEG_START) and JPEG_END not in content[-64:]:
        decode_photo(content, path)


def encode_chunk(task):
    """For each line of (lines, settings): (label, aligned, bytes), or why it cannot be had."""
    lines, settings = task
    results = []
    for _, line in lines:
        try:
            results.append(encode_line(line, settings))
        except (InputError, OSError, cv2.error) as error:
            results.append(str(error))
    return results


def pack_list(path_list, path_rec, settings, workers=1, on_count=None):
    """Packs a list into `path_rec` and its .idx; returns a `PackReport`.

    The bytes do not depend on `workers`. A photo that cannot be had is warned of and skipped.

    Parameters
    ----------
    path_list, path_rec : str
    settings : PackSettings
    workers : int
        Threads where all photos are aligned, which decoding lets run side by side; else processes.
    on_count : callable, optional
        Called with the number of photos so far, 0 first.

    Raises
    ------
    InputError
        The list is wrong, or none of its photos can be had.
    """
    photos = read_listed_photos(path_list)
    if photos.left_out:
        log.warning(
            "%s: %d lines are neither aligned nor have landmarks, and are left out",
            path_list, photos.left_out,
        )  # fmt: skip
    lines = photos.lines
    order = group_by_label(photos.labels)
    if order is not None:
        log.warning("%s: the photos of a label do not stand together: grouped", path_list)
        lines = [lines[place] for place in order]
    chunks = [(lines[at : at + CHUNK], settings) for at in range(0, len(lines), CHUNK)]
    threads = all(line.startswith("1") for _, line in lines)
    skipped = []
    with FaceRecordWriter(path_rec) as writer:
        results = ordered_map(
            encode_chunk, chunks, workers, "pack", unit=f"{CHUNK} photos", threads=threads
        )
        count = 0
        for (chunk, _), encoded in zip(chunks, results, strict=True):
            for (number, _), result in zip(chunk, encoded, strict=True):
                if on_count:
                    on_count(count)
                count += 1
                if isinstance(result, str):
                    skipped.append((number, result))
                    log.warning("%s: line %d skipped: %s", path_list, number, printable(result))
                else:
                    label, aligned, content = result
                    writer.add_image([label, aligned], content)
        if not writer.images:
            raise InputError(
                f"{path_list}: none of {len(lines)} photos can be packed; the first: "
                f"{printable(skipped[0][1])}"
            )
    lost = sorted(set(photos.labels.tolist()).difference(map(int, writer.labels)))
    new_labels = {int(old): new for old, new in writer.new_labels.items()}
    return PackReport(writer.images, writer.identities, skipped, lost, new_labels)
