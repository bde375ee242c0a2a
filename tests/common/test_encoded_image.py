"""Only JPEG and PNG of a possible size reach the decoder of stored images."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from src.common.encoded_image import check_declared_size, check_stored_image
from src.common.errors import InputError
from src.common.photos import decode_photo, decode_stored, in_stored_format


def encoded(format_, size=(20, 10), **arguments):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(buffer, format_, **arguments)
    return buffer.getvalue()


def png(width, height, chunk_length=None):
    def chunk(kind, data, length=None):
        length = len(data) if length is None else length
        return struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 31), chunk_length)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_and_png_are_accepted(progressive):
    for content in (encoded("JPEG", progressive=progressive), encoded("PNG")):
        check_stored_image(content)
        assert decode_stored(content).shape == (10, 20, 3)


@pytest.mark.parametrize("format_", ["BMP", "GIF", "WEBP", "TIFF", "JPEG2000", "PPM"])
def test_other_formats_are_not_decoded_but_can_become_a_png(format_):
    content = encoded(format_)
    with pytest.raises(InputError, match="neither a JPEG nor a PNG"):
        check_stored_image(content)
    assert decode_stored(content) is None
    stored = in_stored_format(content, "x")
    assert stored.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_stored(stored)[..., ::-1], decode_photo(content, "x"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither"),
        (png(60000, 60000), "too many|at most"),
        (png(1000, 1000), "too many"),
        (png(0, 10), "0×10"),
        (png(10, 1, chunk_length=1 << 31), "wrong length"),
        (encoded("PNG")[:-20], "cut off"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "without a header"),
        (b"\xff\xd8\xff\xe0\0\0" * 5, "without a frame"),
        (b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 65000, 65000), "pixels"),
    ],
)
def test_impossible_headers_are_rejected_before_decoding(content, why):
    with pytest.raises(InputError, match=why):
        check_stored_image(content)
    assert decode_stored(content) is None


def test_the_stated_bound_counts_too():
    with pytest.raises(InputError, match="at most 100 are decoded"):
        check_declared_size(11, 10, 1 << 20, 100)


def test_the_files_that_crashed_opencv(shared):
    for name in ("segfault.jp2", "png_41_bytes_4GB.png"):
        assert decode_stored((shared / "cases" / "hostile" / name).read_bytes()) is None


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, RecursionError, SyntaxError])
def test_every_error_of_a_decoder_is_a_skipped_photo(monkeypatch, error):
    def load(self):
        raise error()

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(InputError, match=rf"a\.png: cannot be decoded \({error.__name__}\)"):
        decode_photo(encoded("PNG"), "a.png")


def test_the_dds_that_is_not_implemented(shared):
    content = (shared / "cases" / "hostile" / "notimplemented.dds").read_bytes()
    with pytest.raises(InputError, match=r"^a\.dds: "):
        decode_photo(content, "a.dds")
