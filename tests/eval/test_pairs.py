"""Verification sets: decoding, colour order, mirrored images, damaged files."""

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.eval.pairs import embed_pairs, flip_sum, load_bin, load_pairs
from src.formats.verification_set import write_bin


def encoded(image, extension=".png"):
    return cv2.imencode(extension, image[..., ::-1])[1].tobytes()


@pytest.fixture
def pictures():
    """RGB images (4,12,10,3)."""
    return np.random.RandomState(0).randint(0, 256, (4, 12, 10, 3)).astype(np.uint8)


@pytest.fixture
def path(tmp_path, pictures):
    path = str(tmp_path / "lfw.bin")
    write_bin(path, [encoded(picture) for picture in pictures], [True, False])
    return path


def test_load_bin_returns_the_same_as_in_2018(path, pictures, capsys):
    (images, mirrored), issame = load_bin(path, [12, 10])
    assert isinstance(images, mx.nd.NDArray)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images.asnumpy(), pictures.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(mirrored.asnumpy(), pictures[:, :, ::-1].transpose(0, 3, 1, 2))
    assert list(issame) == [True, False]
    assert capsys.readouterr().out == "loading bin 0\n(4, 3, 12, 10)\n"


def test_load_pairs_has_the_same_values_as_uint8(path):
    (images, mirrored), issame = load_pairs(path, (12, 10))
    assert images.dtype == np.uint8
    assert mirrored.base is images
    (old, old_mirrored), old_issame = load_bin(path, (12, 10))
    np.testing.assert_array_equal(images, old.asnumpy())
    np.testing.assert_array_equal(mirrored, old_mirrored.asnumpy())
    assert issame == old_issame


def test_order_and_progress_lines_of_a_large_set(tmp_path, capsys):
    path = str(tmp_path / "many.bin")
    pictures = [encoded(np.full((2, 2, 3), i % 251, np.uint8)) for i in range(2100)]
    write_bin(path, pictures, [True, False] * 525)
    (images, _), _ = load_pairs(path, (2, 2))
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(2100) % 251)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["loading bin 0", "loading bin 1000", "loading bin 2000", "(2100, 3, 2, 2)"]


def test_grey_pictures_get_three_channels(tmp_path):
    path = str(tmp_path / "grey.bin")
    grey = cv2.imencode(".png", np.full((6, 6), 77, np.uint8))[1].tobytes()
    write_bin(path, [grey, grey], [True])
    assert np.unique(load_pairs(path, (6, 6))[0][0]).tolist() == [77]


def test_a_set_of_another_size_is_resized(tmp_path):
    path = str(tmp_path / "large.bin")
    for shape, size in (((24, 24), (12, 12)), ((30, 20), (15, 10)), ((6, 8), (12, 16))):
        write_bin(path, [encoded(np.full((*shape, 3), 9, np.uint8))] * 2, [True])
        assert load_pairs(path, size)[0][0].shape == (2, 3, *size)


def test_the_error_names_an_image_of_another_shape(tmp_path, pictures):
    path = str(tmp_path / "odd.bin")
    tall = np.zeros((24, 10, 3), np.uint8)
    rows = [encoded(picture) for picture in (pictures[0], pictures[1], tall, pictures[3])]
    write_bin(path, rows, [True, False])
    with pytest.raises(InputError, match=r"odd.bin: image 2 is 24×10 .*12×10 in property"):
        load_pairs(path, (12, 10))


@pytest.mark.parametrize("junk", [b"", b"not a picture", None])
def test_the_error_names_a_damaged_image(tmp_path, pictures, junk):
    path = str(tmp_path / "bad.bin")
    rows = [encoded(picture) for picture in pictures]
    rows[3] = rows[3][:20] if junk is None else junk
    write_bin(path, rows, [True, False])
    with pytest.raises(InputError, match=r"bad.bin: image 3 \(of pair 1\) cannot be decoded"):
        load_pairs(path, (12, 10))


class MeanModule:
    """A model whose embedding is (mean of the left half, mean of the right half)."""

    def forward(self, batch, is_train):
        images = batch.data[0].asnumpy()
        half = images.shape[3] // 2
        self.output = np.stack(
            [images[..., :half].mean((1, 2, 3)), images[..., half:].mean((1, 2, 3))], 1
        )

    def get_outputs(self):
        return [mx.nd.array(self.output)]


def test_embeddings_of_images_and_mirrored_images(path, pictures):
    embeddings_list = embed_pairs(load_pairs(path, (12, 10)), MeanModule(), 3)
    left, right = pictures[:, :, :5].mean((1, 2, 3)), pictures[:, :, 5:].mean((1, 2, 3))
    np.testing.assert_allclose(embeddings_list[0], np.stack([left, right], 1), rtol=1e-6)
    np.testing.assert_allclose(embeddings_list[1], np.stack([right, left], 1), rtol=1e-6)
    assert embeddings_list[0].dtype == np.float64
    np.testing.assert_allclose(flip_sum(embeddings_list), np.full((4, 2), np.sqrt(0.5)))


def test_a_diverged_model_raises_an_error():
    images = np.zeros((4, 3, 4, 4))
    images[1] = np.nan
    with pytest.raises(InputError, match=r"not finite for 1 of 4 images.*earlier checkpoint"):
        embed_pairs(([images, images], [True, False]), MeanModule(), 2)
