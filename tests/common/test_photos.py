"""Photos of every kind, made by the test; unreadable ones raise an error with the reason."""

import io
import struct
import sys
import types

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from src.common.errors import InputError
from src.common.photos import decode_photo, decode_stored, read_image, read_photo


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
        pytest.skip("this Pillow does not distinguish 16 from 32 bits")
    np.testing.assert_array_equal(grey, deep >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation_is_applied(colours, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # As a camera that is held that way stores it: EXIF defines where row 0 and column 0 are.
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


def test_unreadable_bytes_raise_an_error_with_the_reason(colours):
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


def test_damaged_bytes_raise_no_other_error(colours):
    random = np.random.RandomState(0)
    sources = [encoded(Image.fromarray(colours), format=f) for f in ("JPEG", "PNG", "BMP", "GIF")]
    rejected = 0
    for round_ in range(120):
        content = np.frombuffer(sources[round_ % 4], np.uint8).copy()
        places = random.randint(0, len(content), 8)
        content[places] = random.randint(0, 256, 8)
        try:
            assert decode_photo(content.tobytes(), "x").dtype == np.uint8
        except InputError:
            rejected += 1
    assert rejected > 10


def test_stored_pictures_are_decoded_like_photos(colours):
    content = encoded(Image.fromarray(colours), format="PNG")
    np.testing.assert_array_equal(decode_stored(content)[..., ::-1], colours)


def test_stored_bytes_that_cannot_be_decoded_give_none(colours):
    content = encoded(Image.fromarray(colours), format="JPEG")
    # A frame header that claims 65,500×65,500 pixels: OpenCV raises instead of returning None.
    frame = content.index(b"\xff\xc0") + 5
    endless = content[:frame] + struct.pack(">HH", 65500, 65500) + content[frame + 4 :]
    for damaged in (b"", b"not a picture", content[:20], endless):
        assert decode_stored(damaged) is None


def test_missing_files_and_folders_raise_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="a folder"):
        read_photo(tmp_path)


def test_read_image_modes_and_layouts(tmp_path, colours):
    path = tmp_path / "名 前.png"
    path.write_bytes(encoded(Image.fromarray(colours), format="PNG"))
    path = str(path)
    np.testing.assert_array_equal(read_image(path), colours)
    np.testing.assert_array_equal(read_image(path, mode="bgr"), colours[..., ::-1])
    np.testing.assert_array_equal(read_image(path, layout="CHW"), colours.transpose(2, 0, 1))
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(read_image(path, mode="gray"), grey, atol=1)


HEIC = b"\0\0\0\x18ftypheic" + bytes(24)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_names_the_package_that_reads_it(monkeypatch, brand):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"p\.heic: .*pip install pillow-heif"):
        decode_photo(HEIC.replace(b"heic", brand), "p.heic")


def test_heic_is_read_with_the_package(monkeypatch):
    class Heic(ImageFile.ImageFile):
        format = "HEIC"

        def _open(self):
            self._size, self._mode = (2, 1), "RGB"

        def load(self):
            self.im = Image.new("RGB", (2, 1), (1, 2, 3)).im

    def register_heif_opener():
        Image.register_open("HEIC", Heic, lambda start: start[4:8] == b"ftyp")

    package = types.SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    assert decode_photo(HEIC, "p.heic").tolist() == [[[1, 2, 3]] * 2]
