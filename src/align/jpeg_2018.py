"""JPEG colours as the libjpeg in 2018's Pillow decoded them.

In a usual JPEG (4:2:0) colour has half the resolution of brightness. libjpeg 7 to 9, in the Pillow
of 2018, enlarged it with an inverse cosine transform of each block at twice its size;
libjpeg-turbo, in today's Pillow, interpolates. Pixels differ by up to 24 grey levels at coloured
edges, and the detector is sensitive to that: on Labeled Faces in the Wild its landmarks move by
some tenths of a pixel, and an aligned face would differ from 2018's by a mean of up to 14 grey
levels. Here the colour planes are decoded at half size, where nothing is interpolated, and then
enlarged as in libjpeg 9.
"""

import io
import os
import struct
import warnings
from typing import TypeGuard

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from src.common.photos import DECODE_ERRORS, camera_turn, decode_photo, read_content

_BLOCK = 8
_HALF_SAMPLING = 2  # of JpegImagePlugin.get_sampling: 4:2:0


_PLACES = (2 * np.arange(_BLOCK)[:, None] + 1) * np.arange(_BLOCK) * np.pi / (2 * _BLOCK)
_TO_SAMPLES = (
    np.cos(_PLACES) * np.where(np.arange(_BLOCK) == 0, np.sqrt(1 / 8), np.sqrt(2 / 8))
).astype(np.float32)
"""Inverse cosine transform (sample, coefficient); orthogonal, so its transpose is the inverse."""

# Inverse cosine transform of 8 coefficients to 16 samples, times √8 · 2**13; the upper 8 samples.
# libjpeg multiplies by sums of rounded numbers, so some of these are off by one.
_UPPER = [
    [8192, 11529, 11363, 11086, 10703, 10217, 9632, 8956],
    [8192, 11086, 9633, 7350, 4433, 1136, -2260, -5461],
    [8192, 10217, 6437, 1136, -4433, -8955, -11363, -11086],
    [8192, 8956, 2260, -5461, -10703, -11086, -6436, 1137],
    [8192, 7350, -2260, -10217, -10703, -3363, 6436, 11529],
    [8192, 5461, -6437, -11529, -4433, 7349, 11363, 3363],
    [8192, 3363, -9633, -8955, 4433, 11529, 2260, -10217],
    [8192, 1136, -11363, -3363, 10703, 5461, -9632, -7350],
]
_TO_DOUBLE = np.array(_UPPER + _UPPER[::-1], dtype=np.float64)
_TO_DOUBLE[_BLOCK:, 1::2] *= -1  # the odd waves are antisymmetric
_TO_DOUBLE_1, _TO_DOUBLE_2 = _TO_DOUBLE / 2**11, _TO_DOUBLE / 2**18  # of the two passes; exact


def read_photo_2018(path: str | os.PathLike[str], upright: bool = True) -> np.ndarray:
    """Pixels of a photo file as the 2018 aligner saw them; see `src.common.photos.read_photo`.

    2018 did not rotate photos (`upright`), and failed on anything but 8-bit RGB, RGBA and grey.
    """
    return decode_photo_2018(read_content(path), os.fspath(path), upright)


def decode_photo_2018(content: bytes, name: str, upright: bool = True) -> np.ndarray:
    """As `read_photo_2018`, for the bytes of a file with this name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        try:
            image = decode_jpeg(content, upright)
        except DECODE_ERRORS:
            image = None  # the common decoder may succeed, or reports the reason
    return decode_photo(content, name, upright=upright) if image is None else image


def decode_jpeg(content: bytes, upright: bool = True) -> np.ndarray | None:
    """Pixels of a 4:2:0 colour JPEG, as libjpeg 9 decodes it.

    Parameters
    ----------
    upright
        Rotate the photo by its EXIF orientation.

    Returns
    -------
    image
        uint8 (H, W, 3), RGB. None for any other file: all libraries decode those alike, except
        4:2:2 JPEGs.

    Raises
    ------
    One of `DECODE_ERRORS`
        The file is damaged.
    """
    with Image.open(io.BytesIO(content)) as photo:
        if not _has_half_colour(photo):
            return None
        width, height = photo.size
        turn = camera_turn(photo) if upright else None
        tables = np.array([photo.quantization[layer[3]] for layer in photo.layer[1:]])
        photo.draft("L", photo.size)
        brightness = np.asarray(photo)
    half = _colour_planes(content)
    blue, red = _doubled(half[..., 1:].transpose(2, 0, 1), tables)[:, :height, :width]
    image = _rgb(brightness, blue, red)
    return image if turn is None else np.array(Image.fromarray(image).transpose(turn))


def _has_half_colour(photo: Image.Image) -> TypeGuard[JpegImagePlugin.JpegImageFile]:
    """Whether it is a JPEG whose two colour planes have half the width and height."""
    return (
        isinstance(photo, JpegImagePlugin.JpegImageFile)
        and photo.mode == "RGB"
        and photo.info.get("adobe_transform", 1) == 1
        and JpegImagePlugin.get_sampling(photo) == _HALF_SAMPLING
        and min(photo.size) >= 2 * _BLOCK
    )


def _colour_planes(content: bytes) -> np.ndarray:
    """The JPEG decoded at half size, uint8 (h, w, 3), Y Cb Cr; h and w are multiples of 8."""
    with Image.open(io.BytesIO(_to_whole_blocks(content))) as photo:
        photo.draft("YCbCr", (photo.width // 2, photo.height // 2))
        return np.asarray(photo)


def _to_whole_blocks(content: bytes) -> bytes:
    """The JPEG with its declared size rounded up to multiples of 16 pixels.

    The file contains complete blocks at the right and lower edge anyway, and only complete blocks
    can be transformed.
    """
    position = 2
    while content[position] == 0xFF:
        marker = content[position + 1]
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack_from(">HH", content, position + 5)
            whole = (-(-size // 16) * 16 for size in (height, width))
            return content[: position + 5] + struct.pack(">HH", *whole) + content[position + 9 :]
        if marker == 0xFF:  # padding
            position += 1
        else:
            position += 2 + struct.unpack_from(">H", content, position + 2)[0]
    raise ValueError("no frame header")


def _doubled(planes: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Colour planes (2, h, w) at twice the size, uint8 (2, 2h, 2w).

    Parameters
    ----------
    planes
        uint8 (2, h, w), h and w multiples of 8.
    tables
        (2, 64), quantisation steps. The coefficients are multiples of these; rounding to multiples
        undoes the rounding of `planes` to whole grey levels.
    """
    _, height, width = planes.shape
    # One pass along the columns of all blocks and one along the rows, each a matrix product.
    samples = planes.reshape(-1, _BLOCK, width).astype(np.float32)
    samples -= 128
    coefficients = (_TO_SAMPLES.T @ samples).reshape(-1, _BLOCK) @ _TO_SAMPLES
    coefficients = coefficients.reshape(2, -1, _BLOCK, width // _BLOCK, _BLOCK)
    steps = tables.reshape(2, 1, _BLOCK, 1, _BLOCK).astype(np.float32)
    coefficients /= steps
    np.rint(coefficients, out=coefficients)
    coefficients *= steps
    # libjpeg's integer arithmetic, which keeps 2 fractional bits between the passes. It is exact in
    # float64, whose matrix product is fast.
    between = _TO_DOUBLE_1 @ coefficients.reshape(-1, _BLOCK, width).astype(np.float64)
    between += 0.5
    np.floor(between, out=between)
    doubled = between.reshape(-1, _BLOCK) @ _TO_DOUBLE_2.T
    doubled += 128.5
    np.clip(doubled, 0, 255.5, out=doubled)
    return doubled.astype(np.uint8).reshape(2, 2 * height, 2 * width)


# JFIF's conversion, in libjpeg's fixed-point arithmetic with 16 fractional bits.
_COLOUR = np.arange(256, dtype=np.int32) - 128
_RED_OF_CR = ((91881 * _COLOUR + 32768) >> 16).astype(np.int16)
_BLUE_OF_CB = ((116130 * _COLOUR + 32768) >> 16).astype(np.int16)
_GREEN_OF_CB = -22553 * _COLOUR + 32768
_GREEN_OF_CR = -46802 * _COLOUR


def _rgb(brightness: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), RGB, from the planes Y, Cb and Cr, uint8 (H, W) each."""
    green = cv2.LUT(blue, _GREEN_OF_CB)
    green += cv2.LUT(red, _GREEN_OF_CR)
    green >>= 16
    shifts = cv2.LUT(red, _RED_OF_CR), green.astype(np.int16), cv2.LUT(blue, _BLUE_OF_CB)
    # The sum is cut off at 0 and 255.
    return cv2.merge([cv2.add(brightness, shift, dtype=cv2.CV_8U) for shift in shifts])
