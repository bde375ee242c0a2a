"""Reads photos of any format as RGB, and decodes the images of data sets fast."""

import io
import os
import warnings

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from src.common.encoded_image import check_declared_size, check_stored_image, is_stored_format
from src.common.errors import InputError

# Pillow has 40 decoders, which raise anything on damaged bytes: NotImplementedError, SyntaxError,
# struct.error, DecompressionBombError, MemoryError, …
DECODE_ERRORS = (Exception,)

# The limit of Pillow itself, above which it raises an error; most phones take 12 to 50 million.
MOST_PHOTO_PIXELS = 178_956_970

# A HEIC file begins with its size in four bytes, then this.
_HEIC_STARTS = tuple(
    b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
)

# Modes with more than 8 bits per channel, which Pillow would clip at 255 instead of scaling.
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def read_photo(path: str | os.PathLike[str], mode: str = "RGB", upright: bool = True) -> np.ndarray:
    """Pixels of a photo file, uint8 (H, W, 3) RGB, or (H, W) for mode 'L'.

    Transparency is dropped, 16-bit grey is scaled to 8 bits, an animation gives its first frame.

    Parameters
    ----------
    path
        Any format that Pillow reads.
    mode
        'RGB', or 'L' for grey.
    upright
        Rotate the photo by its EXIF orientation. Boxes and landmarks that come with a photo usually
        refer to the pixels of the file, before this rotation.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    InputError
        It is empty, truncated, or not a photo.
    """
    return decode_photo(read_content(path), os.fspath(path), mode, upright)


def read_image(path: str, mode: str = "rgb", layout: str = "HWC") -> np.ndarray:
    """Pixels of a photo file, uint8; 2018's function.

    Parameters
    ----------
    mode
        'rgb', 'bgr' or 'gray'. 2018: everything except 'rgb' and 'gray' is BGR.
    layout
        'HWC' or 'CHW'. Ignored for 'gray', which is (H, W).

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it is not a readable photo.
    """
    if mode == "gray":
        return read_photo(path, "L")
    image = read_photo(path)
    if mode != "rgb":
        image = np.ascontiguousarray(image[..., ::-1])
    return image.transpose(2, 0, 1) if layout == "CHW" else image


def read_content(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a photo file; for errors see `read_photo`."""
    path = os.fspath(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: a folder, not a photo")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path}: not an ordinary file")  # reading a pipe could wait forever
    with open(path, "rb") as file:
        return file.read()


def decode_photo(content: bytes, name: str, mode: str = "RGB", upright: bool = True) -> np.ndarray:
    """The same as `read_photo` for bytes in memory; `name` is used in error messages."""
    if not content:
        raise InputError(f"{name}: the file is empty")
    if content[4:12] in _HEIC_STARTS:
        _add_heic_decoder(name)
    with warnings.catch_warnings():
        # The warnings are about odd metadata, which does not matter here.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as photo:
                check_declared_size(photo.width, photo.height, len(content), MOST_PHOTO_PIXELS)
                photo.load()
                return np.array(_eight_bits(_upright(photo) if upright else photo, mode))
        except UnidentifiedImageError:
            raise InputError(f"{name}: not a photo of a known format") from None
        except DECODE_ERRORS as error:
            reason = error if error.args else type(error).__name__
            raise InputError(f"{name}: cannot be decoded ({reason})") from None


def _add_heic_decoder(name: str) -> None:
    """Teaches Pillow HEIC, which iPhones write; InputError without the package for it."""
    try:
        import pillow_heif
    except ImportError:
        raise InputError(
            f"{name}: a HEIC photo, which needs another package: pip install pillow-heif"
        ) from None
    pillow_heif.register_heif_opener()


def decode_stored(content: bytes) -> np.ndarray | None:
    """Pixels of an image in a data set, uint8 (H, W, 3) BGR; None if it cannot be decoded.

    It must be a JPEG or PNG. Uses OpenCV, which is several times as fast as Pillow, and fills the
    missing part of a truncated JPEG with grey.
    """
    try:
        check_stored_image(content)
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (InputError, cv2.error):
        return None


def in_stored_format(content: bytes, name: str) -> bytes:
    """The bytes of a JPEG or PNG unchanged; any other photo as a PNG, without loss.

    Raises
    ------
    InputError
        It cannot be read; `name` is used in the message.
    """
    if is_stored_format(content):
        return content
    pixels = decode_photo(content, name, upright=False)
    return cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()


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
"""How to rotate a photo upright, by its EXIF orientation (EXIF 2.3, section 4.6.4)."""


def camera_turn(photo: Image.Image) -> Image.Transpose | None:
    """The rotation that brings a photo upright; None if it is upright, or without EXIF data."""
    try:
        return _TURNS.get(photo.getexif().get(_EXIF_ORIENTATION, 1))
    except DECODE_ERRORS:
        return None  # damaged EXIF data does not make a photo unreadable


def _upright(photo: Image.Image) -> Image.Image:
    turn = camera_turn(photo)
    return photo if turn is None else photo.transpose(turn)


def _eight_bits(photo: Image.Image, mode: str) -> Image.Image:
    """The photo in `mode` ('RGB' or 'L')."""
    if photo.mode in DEEP_MODES:
        values = np.asarray(photo, dtype=np.float64)
        largest = values.max(initial=0)
        if not np.isfinite(values).all() or values.min(initial=0) < 0 or largest > 65535:
            raise ValueError(f"pixel values of mode {photo.mode} outside 0..65535")
        is_eight_bit = photo.mode in ("I", "F") and largest <= 255
        # The high byte, as in OpenCV and libpng.
        scaled = values if is_eight_bit else values // 256
        photo = Image.fromarray(scaled.astype(np.uint8))
    if photo.mode in ("P", "PA"):
        # A palette may contain transparency in a form that only RGBA preserves.
        photo = photo.convert("RGBA")
    return photo if photo.mode == mode else photo.convert(mode)
