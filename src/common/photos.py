"""Photographs of any format, read to RGB; what cannot be read is refused with the reason."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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


def read_photo(path, mode="RGB"):
    """Pixels of a photo file, upright, with 8 bits a channel.

    The orientation that a camera wrote (EXIF) is applied; transparency is dropped; 16-bit greys are
    scaled to 8; of an animation the first frame is taken.

    Parameters
    ----------
    path : str or PathLike
        Any format that Pillow reads.
    mode : {'RGB', 'L'}
        Colour, or grey.

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
    path = os.fspath(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: a folder, not a photo")
    with open(path, "rb") as file:
        content = file.read()
    return decode_photo(content, path, mode)


def decode_photo(content, name, mode="RGB"):
    """As `read_photo`, of bytes that are in memory already; `name` stands in the error."""
    if not content:
        raise InputError(f"{name}: the file is empty")
    with warnings.catch_warnings():
        # Notices of odd metadata; the pixels are what is wanted.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as photo:
                photo.load()
                return np.array(_eight_bits(_upright(photo), mode))
        except UnidentifiedImageError:
            raise InputError(f"{name}: not a photo of a known format") from None
        except DECODE_ERRORS as error:
            raise InputError(f"{name}: cannot be decoded ({error})") from None


def _upright(photo):
    """The photo turned as its EXIF orientation says; as it lies where that cannot be read."""
    try:
        return ImageOps.exif_transpose(photo) or photo
    except DECODE_ERRORS:
        return photo


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
