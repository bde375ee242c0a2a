"""Detection on a real portrait."""

import numpy as np
import pytest

from src.align.detect_face import bulk_detect_face, detect_face, detect_face_force

THRESHOLDS, FACTOR = [0.6, 0.7, 0.7], 0.709


def test_the_face_of_a_portrait(detector, portrait):
    boxes, points = detect_face(portrait, 60, *detector.networks, THRESHOLDS, FACTOR)
    assert boxes.shape == (1, 5)
    assert points.shape == (10, 1)
    assert boxes.dtype == np.float64
    assert points.dtype == np.float32
    x1, y1, x2, y2, score = boxes[0]
    assert score > 0.99
    x, y = points[:5, 0], points[5:, 0]
    assert (x1 < x).all()
    assert (x < x2).all()
    assert (y1 < y).all()
    assert (y < y2).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = np.stack([x, y], axis=1)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_the_box_moves_with_the_face(detector, portrait):
    boxes, _ = detect_face(portrait, 60, *detector.networks, THRESHOLDS, FACTOR)
    wide = np.zeros((512, 712, 3), np.uint8)
    wide[:, 200:] = portrait
    moved, _ = detect_face(wide, 60, *detector.networks, THRESHOLDS, FACTOR)
    assert len(moved) == 1
    np.testing.assert_allclose(moved[0, :4] - boxes[0, :4], [200, 0, 200, 0], atol=12)


def test_the_best_score_comes_first(detector, portrait):
    two = np.hstack([portrait, portrait[:, ::-1]])
    boxes, points = detect_face(two, 60, *detector.networks, THRESHOLDS, FACTOR)
    assert len(boxes) == 2
    assert points.shape == (10, 2)
    assert boxes[0, 4] >= boxes[1, 4]


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 300, 3), (64, 64, 3), (200, 200, 3)])
@pytest.mark.parametrize("minsize", [20, 100])
def test_no_face_gives_empty_arrays(detector, shape, minsize):
    photo = np.full(shape, 90, np.uint8)
    boxes, points = detect_face(photo, minsize, *detector.networks, THRESHOLDS, FACTOR)
    assert boxes.shape == (0, 5)
    assert points.shape == (10, 0)


def test_forced_detection_finds_the_same_face(detector, portrait):
    boxes, points = detect_face(portrait, 60, *detector.networks, THRESHOLDS, FACTOR)
    forced, forced_points = detect_face_force(portrait, np.rint(boxes[0, :4]), *detector.networks)
    assert forced.shape == (1, 5)
    assert forced[0, 4] > 0.9
    assert np.abs(forced_points - points).max() < 8


@pytest.mark.parametrize("bbox", [[-500, -500, -400, -400], [600, 10, 700, 90], [9, 9, 4, 4]])
def test_forced_detection_accepts_any_box(detector, portrait, bbox):
    boxes, points = detect_face_force(portrait, bbox, *detector.networks)
    assert boxes.shape in [(1, 5), (0, 5)]
    assert points.shape == (10, len(boxes))


def test_bulk_detection_equals_one_by_one(detector, portrait):
    photos = [
        portrait,
        np.full((80, 80, 3), 10, np.uint8),
        portrait[:, ::-1].copy(),
        portrait[20:300, 60:380].copy(),
        np.full((6, 6, 3), 10, np.uint8),
    ]
    found = bulk_detect_face(photos, 0.2, *detector.networks, THRESHOLDS, FACTOR)
    assert [faces is not None for faces in found] == [True, False, True, True, False]
    for photo, faces in zip(photos, found, strict=True):
        if faces is None:
            continue
        minsize = int(0.2 * min(photo.shape[:2]))
        boxes, points = detect_face(photo, minsize, *detector.networks, THRESHOLDS, FACTOR)
        np.testing.assert_allclose(faces[0], boxes, atol=1e-3)
        np.testing.assert_allclose(faces[1], points, atol=1e-3)


def test_bulk_detection_of_nothing(detector):
    assert bulk_detect_face([], 0.2, *detector.networks, THRESHOLDS, FACTOR) == []


def test_the_faces_of_a_photo_do_not_depend_on_the_others(detector, portrait):
    face = portrait[:300, 80:380]
    two = np.hstack([face, face[::-1]])
    photos = [face, two, portrait, face[:, ::-1], np.zeros_like(face), two[100:], face[:90, :70]]
    smallest = [60, 40, 100, 30, 20, 60, 20]
    together = detector.find(photos, smallest)
    assert len(together[0].boxes) == 1
    assert len(together[4].boxes) == 0
    for photo, size, found in zip(photos, smallest, together, strict=True):
        boxes, points = detect_face(photo, size, *detector.networks, THRESHOLDS, FACTOR)
        np.testing.assert_array_equal(found.boxes, boxes)
        np.testing.assert_array_equal(found.points, points)
    forced = [np.array([100.0, 60, 190, 180]), np.array([-30, 5, 60.5, 90]), np.zeros(4)]
    for photo, box, found in zip(photos, forced, detector.force(photos[:3], forced), strict=False):
        boxes, points = detect_face_force(photo, box, *detector.networks)
        np.testing.assert_array_equal(found.boxes, boxes)
        np.testing.assert_array_equal(found.points, points)
    assert detector.find([], []) == detector.force([], []) == []
