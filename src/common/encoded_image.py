"""The signature and the declared size of an encoded image, checked before a decoder sees it.

OpenCV decodes some twenty formats, and not all of its decoders survive damaged bytes: a JPEG 2000
of 555 bytes writes outside of its memory. Data sets contain JPEG and PNG only.
"""

import struct

from src.common.errors import InputError

JPEG_START = b"\xff\xd8\xff"
BMP_START = b"BM"
PNG_START = b"\x89PNG\r\n\x1a\n"

# No real image has more: a PNG with 1 bit per pixel, of which deflate packs up to 1032 bytes into
# one (zlib, "Maximum Compression Factor"). A JPEG has at most 341.
PIXELS_PER_BYTE = 1032 * 8
# 8192×8192, decoded 192 MB. A face of a data set has 112×112; some threads decode at once.
MOST_STORED_PIXELS = 1 << 26

# Start of frame, without the codes of other segments between them (JPEG, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xD9)])


def is_stored_format(content: bytes) -> bool:
    """Whether the bytes start as a JPEG or PNG, the formats of images in data sets."""
    return content.startswith((JPEG_START, PNG_START))


def check_declared_size(width: int, height: int, length: int, most: int) -> None:
    """InputError unless an image of `length` bytes can have this size, and at most `most` pixels.

    To be called before the memory for its pixels is allocated.
    """
    if width < 1 or height < 1:
        raise InputError(f"its header gives {width}×{height} pixels")
    if width * height > min(most, PIXELS_PER_BYTE * length):
        raise InputError(
            f"its header gives {width}×{height} pixels, too many for {length} bytes"
            if width * height <= most
            else f"its header gives {width}×{height} pixels; at most {most} are decoded"
        )


def check_stored_image(content: bytes) -> None:
    """InputError, with the reason, if OpenCV must not decode these bytes."""
    if content.startswith(JPEG_START):
        width, height = _jpeg_size(content)
    elif content.startswith(PNG_START):
        width, height = _png_size(content)
    else:
        raise InputError("neither a JPEG nor a PNG")
    check_declared_size(width, height, len(content), MOST_STORED_PIXELS)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """(width, height) in the first frame header."""
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            position += 1  # decoders skip bytes between segments
            continue
        code = content[position + 1]
        if code == 0xFF:
            position += 1
        elif code in _WITHOUT_LENGTH or code == 0:
            position += 2
        elif code in _FRAMES and position + 9 <= len(content):
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        else:
            position += 2 + struct.unpack_from(">H", content, position + 2)[0]
    raise InputError("a JPEG without a frame header")


def _png_size(content: bytes) -> tuple[int, int]:
    """(width, height) in the header chunk, if every chunk lies within the bytes."""
    start = len(PNG_START)
    if content[start : start + 8] != b"\0\0\0\rIHDR" or len(content) < start + 25:
        raise InputError("a PNG without a header")
    width, height = struct.unpack_from(">II", content, start + 8)
    position, has_pixels = start, False
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        has_pixels |= kind == b"IDAT"
        position += 12 + length
        if position > len(content):
            raise InputError("a PNG that is cut off, or has a chunk of a wrong length")
        if kind == b"IEND":
            break
    if not has_pixels:
        raise InputError("a PNG without pixels")
    return width, height


def begins_as_image(path: str) -> bool:
    """Whether a file begins as a JPEG, PNG or BMP does.

    A file that a power failure left empty or full of zeros does not.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(len(PNG_START)).startswith((JPEG_START, PNG_START, BMP_START))
