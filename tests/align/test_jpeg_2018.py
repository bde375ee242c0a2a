"""JPEG decoding against a plain cosine transform, and against today's decoders."""

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from src.align.jpeg_2018 import _doubled, decode_jpeg, read_photo_2018
from src.common.errors import InputError
from src.common.photos import read_photo


@pytest.fixture
def scene():
    """A picture with soft and hard coloured edges, (70, 90, 3): no multiple of the block size."""
    y, x = np.mgrid[0:70, 0:90]
    picture = np.stack([2 * x, 255 - 3 * y, x + y], axis=2).astype(np.uint8)
    picture[20:45, 30:61] = [250, 10, 20]
    return picture


def jpeg(picture, **arguments):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, **arguments)
    return buffer.getvalue()


def doubled_by_definition(plane):
    """Blocks of 8×8 enlarged to 16×16 with the same cosines, in floating point."""

    def waves(points):
        return np.array(
            [
                [(1 if u == 0 else 2**0.5) * np.cos((2 * x + 1) * u * np.pi / (2 * points))
                 for u in range(8)]
                for x in range(points)
            ]
        ) / 8**0.5  # fmt: skip

    result = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
    for top in range(0, plane.shape[0], 8):
        for left in range(0, plane.shape[1], 8):
            block = plane[top : top + 8, left : left + 8].astype(float)
            coefficients = waves(8).T @ block @ waves(8)
            result[2 * top : 2 * top + 16, 2 * left : 2 * left + 16] = (
                waves(16) @ coefficients @ waves(16).T
            )
    return np.clip(result, 0, 255)


def test_doubling_equals_the_definition():
    random = np.random.RandomState(0)
    planes = random.randint(60, 190, (2, 24, 16)).astype(np.uint8)
    # With steps of 1, coefficients are only rounded to integers.
    doubled = _doubled(planes, np.ones((2, 64)))
    expected = np.stack([doubled_by_definition(plane) for plane in planes])
    assert doubled.shape == (2, 48, 32)
    assert np.abs(doubled - expected).max() < 2
    assert np.abs(doubled - expected).mean() < 0.5


def test_a_flat_plane_stays_flat():
    assert (_doubled(np.full((2, 8, 8), 77, np.uint8), np.ones((2, 64))) == 77).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_away_from_edges_it_is_close_to_todays_decoder(scene, progressive):
    content = jpeg(scene, subsampling=2, progressive=progressive)
    image = decode_jpeg(content)
    today = np.asarray(Image.open(io.BytesIO(content)))
    assert image.shape == scene.shape
    difference = np.abs(image.astype(int) - today)
    assert difference.max() > 0, "then this decoder would not be needed"
    assert np.median(difference) <= 1
    grey = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(image @ grey, today @ grey, atol=30)


def test_colour_is_no_further_from_the_scene_than_todays(scene):
    content = jpeg(scene, subsampling=2)
    today = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    own = np.abs(decode_jpeg(content).astype(int) - scene).mean()
    assert own < 1.3 * np.abs(today - scene).mean()


@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (33, 48), (70, 64)])
def test_sizes_that_are_not_multiples_of_the_block_size(scene, shape):
    part = np.ascontiguousarray(scene[: shape[0], : shape[1]])
    image = decode_jpeg(jpeg(part, subsampling=2))
    assert image.shape == part.shape
    assert np.abs(image.astype(int) - part).mean() < 12


def test_other_files_are_left_to_the_common_decoder(scene, tmp_path):
    full = jpeg(scene, subsampling=0)
    assert decode_jpeg(full) is None
    path = tmp_path / "full.jpg"
    path.write_bytes(full)
    np.testing.assert_array_equal(read_photo_2018(path), read_photo(path))
    for name, picture in [("grey.jpg", scene[..., 0]), ("small.jpg", scene[:9, :9])]:
        Image.fromarray(picture).save(tmp_path / name)
        np.testing.assert_array_equal(read_photo_2018(tmp_path / name), read_photo(tmp_path / name))


def test_camera_orientation(scene, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg(scene, subsampling=2, exif=exif))
    lying = read_photo_2018(path, upright=False)
    np.testing.assert_array_equal(read_photo_2018(path), np.rot90(lying, -1))


def test_damaged_files_are_named(scene, tmp_path):
    content = jpeg(scene, subsampling=2)
    path = tmp_path / "cut.jpg"
    path.write_bytes(content[:-60])
    with pytest.raises(InputError, match=r"cut\.jpg: .*truncated"):
        read_photo_2018(path)
    random = np.random.RandomState(0)
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[random.randint(0, 700, 6)] = random.randint(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        # Pixels or an InputError; any other error fails the test.
        with contextlib.suppress(InputError):
            assert read_photo_2018(path).ndim == 3
