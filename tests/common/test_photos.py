"""Photos of every kind, made here; what cannot be read says why."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from src.common.errors import InputError
from src.common.photos import decode_photo, decode_stored, read_photo


@pytest.fixture
def colours():
    """A smooth picture (40, 60, 3), so that JPEG hardly changes it."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([4 * x, 5 * y, 200 - 3 * x], axis=2).astype(np.uint8)


def encoded(image, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, **arguments)
    return buffer.getvalue()


def test_png_is_read_exactly(colours):
    content = encoded(Image.fromarray(colours), format="PNG")
    np.testing.assert_array_equal(decode_photo(content, "x"), colours)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_every_mode_becomes_eight_bit_rgb(colours, mode):
    photo = Image.fromarray(colours).convert(mode)
    image = decode_photo(encoded(photo, format="TIFF" if mode == "CMYK" else "PNG"), "x")
    assert image.dtype == np.uint8
    assert image.shape == colours.shape
    expected = np.asarray(photo.convert("RGB"), dtype=int)
    np.testing.assert_allclose(image, expected, atol=1)


def test_transparency_is_dropped_not_blended(colours):
    alpha = np.full((*colours.shape[:2], 1), 3, dtype=np.uint8)
    content = encoded(Image.fromarray(np.concatenate([colours, alpha], axis=2)), format="PNG")
    np.testing.assert_array_equal(decode_photo(content, "x"), colours)


def test_palette_with_transparency_is_read_without_a_warning(colours):
    photo = Image.fromarray(colours).convert("P")
    content = encoded(photo, format="PNG", transparency=bytes(range(256)))
    assert decode_photo(content, "x").shape == colours.shape


@pytest.mark.parametrize("top", [65535, 4095, 200])
def test_sixteen_bits_are_scaled_by_256(top):
    deep = np.linspace(0, top, 600).astype(np.uint16).reshape(20, 30)
    content = encoded(Image.fromarray(deep), format="PNG")
    grey = decode_photo(content, "x", "L")
    if Image.open(io.BytesIO(content)).mode == "I" and top <= 255:
        pytest.skip("this Pillow does not tell 16 bits from 32")
    np.testing.assert_array_equal(grey, deep >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation_is_applied(colours, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # The picture as a camera held that way stores it: EXIF says where row 0 and column 0 are.
    stored = {
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.transpose(1, 0, 2),
        6: np.rot90(colours, 1),
        7: colours[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(colours, -1),
    }[orientation]
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), format="PNG", exif=exif)
    np.testing.assert_array_equal(decode_photo(content, "x"), colours)
    np.testing.assert_array_equal(decode_photo(content, "x", upright=False), stored)


def test_unreadable_bytes_say_why(colours):
    jpeg = encoded(Image.fromarray(colours), format="JPEG")
    for content, why in [
        (b"", "empty"),
        (b"no photo at all", "not a photo"),
        (jpeg[:-20], "truncated"),
        (jpeg[:30], "photo|decoded"),
    ]:
        with pytest.raises(InputError, match=why) as caught:
            decode_photo(content, "some/photo.jpg")
        assert str(caught.value).startswith("some/photo.jpg: ")


def test_damaged_bytes_never_end_in_another_error(colours):
    random = np.random.RandomState(0)
    sources = [encoded(Image.fromarray(colours), format=f) for f in ("JPEG", "PNG", "BMP", "GIF")]
    refused = 0
    for round_ in range(120):
        content = np.frombuffer(sources[round_ % 4], np.uint8).copy()
        places = random.randint(0, len(content), 8)
        content[places] = random.randint(0, 256, 8)
        try:
            assert decode_photo(content.tobytes(), "x").dtype == np.uint8
        except InputError:
            refused += 1
    assert refused > 10


def test_stored_pictures_are_decoded_as_photos_are(colours):
    content = encoded(Image.fromarray(colours), format="PNG")
    np.testing.assert_array_equal(decode_stored(content)[..., ::-1], colours)


def test_stored_bytes_that_cannot_be_decoded_are_none(colours):
    content = encoded(Image.fromarray(colours), format="JPEG")
    # A frame header that claims 65,500×65,500 pixels: OpenCV raises instead of giving None.
    frame = content.index(b"\xff\xc0") + 5
    endless = content[:frame] + struct.pack(">HH", 65500, 65500) + content[frame + 4 :]
    for damaged in (b"", b"not a picture", content[:20], endless):
        assert decode_stored(damaged) is None


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="a folder"):
        read_photo(tmp_path)
