"""2018's function for one face of one photo: crops, and agreement with the batch version."""

import cv2
import numpy as np
import pytest

from src.align.preprocess import preprocess
from src.align.template import FIVE_POINT_TEMPLATE, template_for, warp_to_template
from src.common.errors import InputError
from src.common.photos import read_image


@pytest.fixture
def photo():
    return np.random.RandomState(1).randint(0, 256, (120, 100, 3)).astype(np.uint8)


def test_crop_adds_half_the_margin_on_each_side(photo):
    face = preprocess(photo, bbox=[20, 30, 50, 70], image_size="", margin=11)
    np.testing.assert_array_equal(face, photo[25:75, 15:55])


def test_crop_ends_with_the_photo(photo):
    face = preprocess(photo, bbox=[5, 6, 90, 110], image_size="", margin=44)
    np.testing.assert_array_equal(face, photo)


def test_without_a_box_the_middle_is_cropped(photo):
    face = preprocess(photo, image_size="", margin=0)
    np.testing.assert_array_equal(face, photo[7:113, 6:94])


def test_crop_is_resized(photo):
    assert preprocess(photo, bbox=[20, 30, 50, 70], image_size="112,96").shape == (112, 96, 3)


def test_landmarks_override_the_box(photo):
    landmark = template_for((112, 112)) + np.float32([3, 2])
    face = preprocess(photo, bbox=[0, 0, 5, 5], landmark=landmark, image_size="112,112")
    np.testing.assert_array_equal(face, warp_to_template(photo, landmark))
    np.testing.assert_array_equal(face[20:60, 20:60], photo[22:62, 23:63])


def test_box_outside_the_photo_is_rejected(photo):
    with pytest.raises(InputError, match=r"\(500, 500, 600, 600\) lies outside .* 100×120"):
        preprocess(photo, bbox=[500, 500, 600, 600])


def test_a_path_is_read(tmp_path, photo):
    path = str(tmp_path / "名 前.png")
    (tmp_path / "名 前.png").write_bytes(cv2.imencode(".png", photo)[1].tobytes())
    expected = preprocess(read_image(path), image_size="", margin=0)
    np.testing.assert_array_equal(preprocess(path, image_size="", margin=0), expected)
    expected = preprocess(photo, image_size="", margin=0)
    np.testing.assert_array_equal(preprocess(path, image_size="", margin=0, mode="bgr"), expected)


def test_scikit_image_and_the_closed_form_give_the_same_face(portrait):
    random = np.random.RandomState(3)
    for _ in range(20):
        angle, scale = random.uniform(-0.5, 0.5), random.uniform(0.8, 2.5)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        landmark = (FIVE_POINT_TEMPLATE - 56) @ turn.T + [224, 130] + random.normal(0, 3, (5, 2))
        single = preprocess(portrait, landmark=landmark, image_size="112,112").astype(int)
        batch = warp_to_template(portrait, landmark)
        # cv2.warpAffine rounds coordinates to 1/32 pixel, so the last bits of a matrix matter.
        assert np.abs(single - batch).max() <= 2
        assert np.abs(single - batch).mean() < 0.01


@pytest.mark.parametrize(
    "landmark",
    [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.arange(10.0).reshape(5, 2) * 1e30],
)
def test_degenerate_landmarks_are_rejected(landmark, photo):
    with pytest.raises(InputError, match="degenerate"):
        preprocess(photo, landmark=landmark)
