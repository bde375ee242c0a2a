"""Photographs of any format, read to RGB, and the stored pictures of data sets, decoded fast."""

import io
import os
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from src.common.errors import InputError

# What Pillow's decoders raise on damaged bytes; MemoryError comes of a size field gone wild.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Modes of more than 8 bits a channel, which Pillow would clip at 255 rather than scale.
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def read_photo(path, mode="RGB", upright=True):
    """Pixels of a photo file with 8 bits a channel.

    Transparency is dropped; 16-bit greys are scaled to 8; of an animation the first frame is taken.

    Parameters
    ----------
    path : str or PathLike
        Any format that Pillow reads.
    mode : {'RGB', 'L'}
        Colour, or grey.
    upright : bool
        Turn the photo as the camera noted (EXIF orientation). Boxes and landmarks that come with a
        photo may count in its pixels as they lie.

    Returns
    -------
    image : uint8 ndarray of shape (H, W, 3), or (H, W) for 'L'

    Raises
    ------
    FileNotFoundError
        There is no such file.
    InputError
        It is empty, truncated, or no photo.
    """
    return decode_photo(read_content(path), os.fspath(path), mode, upright)


def read_content(path):
    """The bytes of a photo file; for errors see `read_photo`."""
    path = os.fspath(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: a folder, not a photo")
    with open(path, "rb") as file:
        return file.read()


def decode_photo(content, name, mode="RGB", upright=True):
    """As `read_photo`, of bytes that are in memory already; `name` stands in the error."""
    if not content:
        raise InputError(f"{name}: the file is empty")
    with warnings.catch_warnings():
        # Notices of odd metadata; the pixels are what is wanted.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as photo:
                photo.load()
                return np.array(_eight_bits(_upright(photo) if upright else photo, mode))
        except UnidentifiedImageError:
            raise InputError(f"{name}: not a photo of a known format") from None
        except DECODE_ERRORS as error:
            raise InputError(f"{name}: cannot be decoded ({error})") from None


def decode_stored(content):
    """Pixels (H,W,3), uint8, BGR, of a picture stored in a data set; None if it cannot be decoded.

    By OpenCV, several times as fast as Pillow; it fills what a truncated JPEG lacks with grey.
    """
    if not content:
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # damaged bytes may claim to be a picture of any size
        return None


_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a photo upright, by its EXIF orientation (EXIF 2.3, section 4.6.4)."""


def camera_turn(photo):
    """The turn that brings an open Pillow image upright; None if it is, or says nothing."""
    try:
        return _TURNS.get(photo.getexif().get(_EXIF_ORIENTATION))
    except DECODE_ERRORS:
        return None  # damaged notes do not make a photo unreadable


def _upright(photo):
    turn = camera_turn(photo)
    return photo if turn is None else photo.transpose(turn)


def _eight_bits(photo, mode):
    """The photo in `mode` ('RGB' or 'L')."""
    if photo.mode in DEEP_MODES:
        values = np.asarray(photo, dtype=np.float64)
        largest = values.max(initial=0)
        if not np.isfinite(values).all() or values.min(initial=0) < 0 or largest > 65535:
            raise ValueError(f"pixel values of mode {photo.mode} outside 0..65535")
        is_eight_bit = photo.mode in ("I", "F") and largest <= 255
        # As OpenCV and libpng do: the high byte.
        scaled = values if is_eight_bit else values // 256
        photo = Image.fromarray(scaled.astype(np.uint8))
    if photo.mode in ("P", "PA"):
        # A palette may hold transparency in a form that only RGBA takes over.
        photo = photo.convert("RGBA")
    return photo if photo.mode == mode else photo.convert(mode)
