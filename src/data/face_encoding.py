"""From a line of a list to the encoded face that is packed."""

import contextlib
import os
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from src.align.template import crop_to_box, warp_to_template
from src.common.errors import InputError
from src.common.photos import (
    DECODE_ERRORS,
    decode_photo,
    decode_stored,
    in_stored_format,
    read_content,
    read_image,
)
from src.data.training_lists import NumberedLine
from src.formats.lists import parse_lst_line

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

EncodedFace = tuple[int, int, bytes]
"""Label, aligned (0 or 1), and the encoded image."""


class PackSettings(NamedTuple):
    """How unaligned photos are read and encoded.

    `image_size` is (height, width), and `encoding` '.jpg' or '.png'. `color` is 1 for colour, 0 for
    grey, and -1 for what the photo is. `folder` is that of the list, for relative paths.
    """

    image_size: tuple[int, int]
    quality: int
    encoding: str
    color: int
    folder: str


def find_photo(path: str, folder: str) -> str:
    """The path itself if the file exists, otherwise relative to the list's folder."""
    in_folder = os.path.join(folder, path)
    return in_folder if not os.path.exists(path) and os.path.exists(in_folder) else path


def encode_line(line: str, settings: PackSettings) -> EncodedFace:
    """The encoded face of a list line; raises as `encode_photo`."""
    path, label, bbox, landmark, aligned = parse_lst_line(line)
    path = find_photo(path, settings.folder)
    return label, aligned, encode_photo(path, bbox, landmark, aligned, settings)


def encode_photo(
    path: str,
    bbox: np.ndarray | None,
    landmark: np.ndarray | None,
    aligned: int,
    settings: PackSettings,
) -> bytes:
    """The encoded face of a photo.

    An aligned photo is returned byte for byte, after a check that it can be decoded; one that is
    neither a JPEG nor a PNG becomes a PNG, because training decodes no other format. Others are
    warped by their landmarks, or cropped if there are none, and encoded.

    Parameters
    ----------
    bbox
        (4,): x1 y1 x2 y2.
    landmark
        (5, 2)

    Raises
    ------
    InputError, OSError
        The photo is missing, unreadable, or aligned to another size than that of the data set.
    """
    if aligned:
        content = in_stored_format(read_content(path), path)
        check_aligned(content, path, settings.image_size)
        return content
    image = read_image(path, mode=_read_mode(path, settings.color))
    if landmark is None:
        face = crop_to_box(image, bbox, settings.image_size)
    else:
        face = warp_to_template(image, landmark, settings.image_size)
    return encode_face(face, settings)


def _read_mode(path: str, color: int) -> str:
    if color < 0:
        try:
            with Image.open(path) as photo:
                color = photo.mode not in ("1", "L", "LA")
        except DECODE_ERRORS:
            color = True  # reading the photo reports what is wrong
    return "rgb" if color else "gray"


def encode_face(face: np.ndarray, settings: PackSettings) -> bytes:
    """Encoded bytes of a face (H, W, 3), RGB, or (H, W), grey."""
    parameter = cv2.IMWRITE_JPEG_QUALITY
    quality = settings.quality
    if settings.encoding == ".png":
        # 2018: --quality is PNG's compression, 1 to 9; the JPEG default is above it.
        parameter, quality = cv2.IMWRITE_PNG_COMPRESSION, min(settings.quality, 9)
    image = face if face.ndim == 2 else np.ascontiguousarray(face[..., ::-1])
    _, encoded = cv2.imencode(settings.encoding, image, [parameter, quality])
    return encoded.tobytes()


def check_aligned(content: bytes, path: str, image_size: Sequence[int]) -> None:
    """Raises InputError unless the bytes are an image of that size that training can decode.

    Parameters
    ----------
    path
        For the message.
    image_size
        Height, width.
    """
    if not content:
        raise InputError(f"{path}: the file is empty")
    image = decode_stored(content)
    if image is None:
        raise InputError(f"{path}: not an image that training can decode (JPEG or PNG)")
    if image.shape[:2] != tuple(image_size):
        raise InputError(
            "{}: {}×{} pixels, but the data set has {}×{}: align it first".format(
                path, *image.shape[:2], *image_size
            )
        )
    # OpenCV fills the missing part of a truncated JPEG with grey; Pillow raises an error.
    if content.startswith(JPEG_START) and JPEG_END not in content[-64:]:
        decode_photo(content, path)


def made_from(lines: Sequence[NumberedLine], settings: PackSettings) -> int:
    """A checksum that changes with the lines, the settings, or the files of the photos."""
    checksum = zlib.crc32(repr(settings).encode())
    for _, line in lines:
        with contextlib.suppress(ValueError, OSError):
            status = os.stat(find_photo(parse_lst_line(line)[0], settings.folder))
            line += f"\t{status.st_size}\t{status.st_mtime_ns}"
        checksum = zlib.crc32(line.encode("utf-8", "surrogateescape"), checksum)
    return checksum


Task = tuple[list[NumberedLine], PackSettings]
"""Some lines of a list, and how to encode their photos."""


def encode_chunk(
    task: Task,
) -> tuple[int, list[EncodedFace | str]]:
    """(`made_from`; for each line of (lines, settings) its face, or why it cannot be read)."""
    lines, settings = task
    origin = made_from(lines, settings)  # before the photos are read
    results: list[EncodedFace | str] = []
    for _, line in lines:
        try:
            results.append(encode_line(line, settings))
        except (InputError, OSError, cv2.error) as error:
            results.append(str(error))
    return origin, results
