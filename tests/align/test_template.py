"""The template, and transforms to it."""

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from src.align.template import (
    FIVE_POINT_TEMPLATE,
    similarity_transform,
    similarity_transforms,
    template_for,
    warp_to_template,
)
from src.common.errors import InputError


@pytest.fixture
def photo():
    return np.random.RandomState(1).randint(0, 256, (120, 100, 3)).astype(np.uint8)


def test_template_of_112_by_112_is_that_of_112_by_96_shifted_by_eight():
    np.testing.assert_array_equal(template_for((112, 112)), FIVE_POINT_TEMPLATE)
    shift = FIVE_POINT_TEMPLATE - template_for((112, 96))
    np.testing.assert_allclose(shift, [[8, 0]] * 5, atol=1e-5)


def test_template_scales_with_the_height():
    np.testing.assert_allclose(template_for((224, 224)), 2 * FIVE_POINT_TEMPLATE, rtol=1e-6)


def test_similarity_equals_scikit_image():
    random = np.random.RandomState(0)
    for _ in range(50):
        source = random.rand(5, 2).astype(np.float32) * 300
        target = random.rand(5, 2).astype(np.float32) * 112
        oracle = SimilarityTransform()
        assert oracle.estimate(source, target)
        matrix = similarity_transform(source, target)
        np.testing.assert_allclose(matrix, oracle.params[:2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("landmark", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_degenerate_landmarks_are_rejected(landmark, photo):
    with pytest.raises(InputError, match="degenerate"):
        warp_to_template(photo, landmark)


def test_landmarks_end_on_the_template():
    image = np.zeros((300, 300, 3), np.uint8)
    turn = cv2.getRotationMatrix2D((60, 60), 25, 1.4)
    landmark = FIVE_POINT_TEMPLATE @ turn[:, :2].T + turn[:, 2] + 50
    for x, y in np.rint(landmark).astype(int):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    face = warp_to_template(image, landmark)
    rows, columns = np.nonzero(face[..., 0] > 100)
    bright = np.stack([columns, rows], axis=1)
    distance = np.linalg.norm(bright[:, None] - FIVE_POINT_TEMPLATE[None], axis=2)
    assert distance.min(axis=1).max() < 4
    assert (distance.min(axis=0) < 1).all()


def test_many_faces_at_once_equal_one_by_one():
    random = np.random.RandomState(5)
    for points in (2, 3, 5):
        sources = (random.rand(40, points, 2) * 300).astype(np.float32)
        sources[7] = 20
        sources[9, 0, 1] = np.nan
        matrices = similarity_transforms(sources, FIVE_POINT_TEMPLATE[:points])
        assert np.isnan(matrices).any(axis=(1, 2)).nonzero()[0].tolist() == [7, 9]
        for number, source in enumerate(sources):
            if number not in (7, 9):
                alone = similarity_transform(source, FIVE_POINT_TEMPLATE[:points])
                np.testing.assert_array_equal(matrices[number], alone)
    assert similarity_transforms(np.empty((0, 5, 2)), FIVE_POINT_TEMPLATE).shape == (0, 2, 3)


def test_mirrored_points_are_rotated_and_not_mirrored():
    matrix = similarity_transform(FIVE_POINT_TEMPLATE * [-1, 1], FIVE_POINT_TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
