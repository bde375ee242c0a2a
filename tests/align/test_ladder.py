"""Each way of finding a face, with a detector whose answers the test prepares."""

import cv2
import numpy as np
import pytest

from src.align.choices import IOU, central_face
from src.align.detector import Faces, Found
from src.align.ladder import WAYS, align_photos
from src.align.photo import Photo
from src.align.template import FIVE_POINT_TEMPLATE, similarity_transform, warp_to_template

BOX = np.array([20.0, 30, 120, 160])
LANDMARK = FIVE_POINT_TEMPLATE + np.float32([10, 35])
PHOTO = np.random.RandomState(0).randint(0, 256, (200, 180, 3)).astype(np.uint8)


class Scripted:
    """A Detector that returns prepared answers in order and records the questions."""

    def __init__(self, *answers, forced=()):
        self.answers = list(answers)
        self.forced = list(forced)
        self.questions = []
        self.calls = []

    def find(self, images, smallest):
        self.calls.append(("find", len(images)))
        for image, minsize in zip(images, smallest, strict=True):
            self.questions.append((image.shape[:2], minsize))
        return [self.answers.pop(0) for _ in images]

    def force(self, images, boxes):
        self.calls.append(("force", len(images)))
        assert len(images) == len(boxes)
        return [self.forced.pop(0) for _ in images]


def align_face(image, bbox, landmark, detector, **options):
    """(face, way) of one photo."""
    photo = Photo(image, bbox, landmark)
    align_photos([photo], detector, **options)
    assert (photo.face is None) == bool(photo.reason)
    return photo.face, photo.way


def faces(*boxes_and_landmarks, score=0.9):
    boxes = np.array([[*box, score] for box, _ in boxes_and_landmarks]).reshape(-1, 5)
    points = [landmark.T.ravel() for _, landmark in boxes_and_landmarks]
    return Faces(boxes, np.array(points, np.float32).reshape(-1, 10).T)


NOTHING = faces()


def test_unknown_photo_takes_the_first_face_and_detects_again():
    inner = FIVE_POINT_TEMPLATE * 1.5 + 30
    detector = Scripted(faces((BOX, LANDMARK), (BOX + 50, LANDMARK + 40)), faces((BOX, inner)))
    face, way = align_face(PHOTO, None, None, detector)
    assert way == 0
    assert detector.questions == [((200, 180), 100), ((224, 224), 112)]
    # In the frame, eyes and nose are at 1.5 times the template plus a quarter of the size.
    frame_template = FIVE_POINT_TEMPLATE[:3] * 1.5 + 28
    shift = frame_template[0] - 1.5 * LANDMARK[0]
    matrix = np.array([[1.5, 0, shift[0]], [0, 1.5, shift[1]]])
    frame = cv2.warpAffine(PHOTO, matrix, (224, 224))
    expected = warp_to_template(frame, inner)
    assert np.abs(face.astype(int) - expected).mean() < 2


def test_the_central_face_is_the_largest_near_the_middle():
    # Photo of 200×180 with the middle (90, 100): area minus twice the squared distance.
    middle = [60, 70, 120, 130]  # 3600 - 0
    larger_aside = [0, 60, 70, 130]  # 4900 - 2 (55² + 5²) = -1200
    larger_near = [50, 70, 130, 150]  # 6400 - 2 (0 + 10²) = 6200
    boxes = np.array([[*larger_aside, 0.99], [*middle, 0.9]], float)
    assert central_face(boxes, PHOTO) == 1
    boxes = np.array([[*middle, 0.99], [*larger_near, 0.7]], float)
    assert central_face(boxes, PHOTO) == 1


def test_a_face_is_chosen_in_the_photo_and_in_the_frame():
    aside = (np.array([0.0, 60, 40, 100]), LANDMARK - 15)
    inner = FIVE_POINT_TEMPLATE * 1.5 + 30
    in_frame = faces((BOX - 20, inner - 40), (np.array([60.0, 50, 170, 180]), inner))
    detector = Scripted(faces(aside, (BOX, LANDMARK)), in_frame)
    face, _ = align_face(PHOTO, None, None, detector, choose=central_face)
    alone = Scripted(faces((BOX, LANDMARK)), faces((BOX, inner)))
    np.testing.assert_array_equal(face, align_face(PHOTO, None, None, alone)[0])


def test_only_eyes_and_nose_determine_the_frame():
    moved = LANDMARK.copy()
    moved[3:] += 25
    found = []
    for landmark in (LANDMARK, moved, LANDMARK[:3]):
        detector = Scripted(faces((BOX, FIVE_POINT_TEMPLATE + 56)))
        found.append(align_face(PHOTO, BOX, landmark, detector)[0])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_no_face_is_skipped():
    assert align_face(PHOTO, None, None, Scripted(NOTHING)) == (None, None)


def test_a_known_box_without_landmarks_is_replaced_by_the_first_face():
    detector = Scripted(faces((BOX, LANDMARK)), NOTHING, faces((BOX, LANDMARK)))
    face, way = align_face(PHOTO, BOX + 500, None, detector)
    assert way == 1
    np.testing.assert_array_equal(face, warp_to_template(PHOTO, LANDMARK))
    assert align_face(PHOTO, BOX, None, Scripted(NOTHING)) == (None, None)


def test_second_way_takes_the_largest_overlap():
    detector = Scripted(
        NOTHING, faces((BOX + 40, LANDMARK + 9), (BOX + 10, LANDMARK), (BOX + 90, LANDMARK + 5))
    )
    face, way = align_face(PHOTO, BOX, LANDMARK, detector)
    assert way == 1
    assert detector.questions[1] == ((200, 180), 50)
    np.testing.assert_array_equal(face, warp_to_template(PHOTO, LANDMARK))


def test_third_way_when_no_overlap_is_above_the_limit():
    detector = Scripted(
        NOTHING, faces((BOX + 60, LANDMARK)), forced=[faces((BOX, LANDMARK), score=0.3)]
    )
    assert IOU(BOX, BOX + 60) < 0.3
    face, way = align_face(PHOTO, BOX, LANDMARK, detector)
    assert way == 2
    np.testing.assert_array_equal(face, warp_to_template(PHOTO, LANDMARK))


@pytest.mark.parametrize("forced", [faces((BOX, LANDMARK), score=0.29), NOTHING])
def test_fourth_way_crops_the_box_at_its_full_height(forced):
    detector = Scripted(NOTHING, NOTHING, forced=[forced])
    face, way = align_face(PHOTO, BOX, LANDMARK, detector)
    assert way == 3
    # 130 high, so 130 wide: 15 more on each side, cut at the photo's edge.
    np.testing.assert_array_equal(face, cv2.resize(PHOTO[30:160, 5:135], (112, 112)))


def test_fifth_way_crops_the_centre():
    face, way = align_face(PHOTO, None, None, Scripted(NOTHING), keep_undetected=True)
    assert way == 4
    np.testing.assert_array_equal(face, cv2.resize(PHOTO[12:188, 10:170], (112, 112)))


def test_keep_undetected_continues_with_a_known_box():
    detector = Scripted(NOTHING, NOTHING, forced=[NOTHING])
    _, way = align_face(PHOTO, BOX, None, detector, keep_undetected=True)
    assert way == 3


@pytest.mark.parametrize("box", [[-90, -90, -20, -20], [500, 500, 600, 600], [30, 30, 20, 20]])
def test_if_the_box_is_empty_the_centre_is_cropped(box):
    detector = Scripted(NOTHING, NOTHING, forced=[NOTHING])
    _, way = align_face(PHOTO, np.array(box), LANDMARK, detector)
    assert way == 4


def test_with_degenerate_landmarks_the_box_is_used():
    detector = Scripted(faces((BOX, LANDMARK)))
    _, way = align_face(PHOTO, BOX, np.full((3, 2), 50.0), detector)
    assert way == 1


def test_other_image_sizes():
    detector = Scripted(faces((BOX, FIVE_POINT_TEMPLATE + 50)))
    face, _ = align_face(PHOTO, BOX, LANDMARK, detector, image_size=(112, 96))
    assert face.shape == (112, 96, 3)
    assert detector.questions == [((224, 192), 112)]


def test_iou():
    assert IOU([0, 0, 10, 10], [5, 0, 15, 10]) == pytest.approx(50 / 150)
    assert IOU([0, 0, 10, 10], [10, 0, 20, 10]) == 0
    assert IOU([0, 0, 10, 10], [0, 0, 10, 10]) == 1


def test_photos_of_one_list_take_different_ways():
    inner = FIVE_POINT_TEMPLATE * 1.5 + 30
    outside = np.array([500, 500, 600, 600])
    cases = [
        # bbox, landmark, answers in the order of the stages
        (None, None, [faces((BOX, LANDMARK)), faces((BOX, inner))]),
        (None, None, [NOTHING]),
        (BOX, LANDMARK, [NOTHING, faces((BOX, LANDMARK))]),
        (BOX, LANDMARK, [NOTHING, NOTHING, faces((BOX, LANDMARK))]),
        (BOX, LANDMARK, [NOTHING, NOTHING, NOTHING]),
        (outside, LANDMARK, [NOTHING, NOTHING, NOTHING]),
    ]
    alone = []
    for bbox, landmark, answers in cases:
        detector = Scripted(*answers[:2], forced=answers[2:])
        alone.append(align_face(PHOTO, bbox, landmark, detector))
    assert [way for _, way in alone] == [0, None, 1, 2, 3, 4]
    # Each stage calls the detector once for all photos that need it, in order.
    around = [faces((BOX, inner)), NOTHING, NOTHING, NOTHING, NOTHING]
    at_box = [faces((BOX, LANDMARK)), NOTHING, NOTHING, NOTHING]
    detector = Scripted(
        faces((BOX, LANDMARK)), NOTHING, *around, *at_box,
        forced=[faces((BOX, LANDMARK)), NOTHING, NOTHING],
    )  # fmt: skip
    photos = [Photo(PHOTO, bbox, landmark) for bbox, landmark, _ in cases]
    align_photos(photos, detector)
    assert detector.calls == [("find", 2), ("find", 5), ("find", 4), ("force", 3)]
    assert not detector.answers
    assert not detector.forced
    for photo, (face, way) in zip(photos, alone, strict=True):
        assert photo.way == way
        np.testing.assert_array_equal(photo.face, face)


def test_a_photo_that_opencv_rejects_does_not_affect_the_others():
    class Rejecting(Scripted):
        def find(self, images, smallest):
            if any(image.shape[0] == 33 for image in images):
                raise cv2.error("too wide")
            return super().find(images, smallest)

    inner = FIVE_POINT_TEMPLATE * 1.5 + 30
    detector = Rejecting(*[faces((BOX, LANDMARK))] * 2, *[faces((BOX, inner))] * 2)
    photos = [Photo(PHOTO), Photo(PHOTO[:33]), Photo(PHOTO)]
    align_photos(photos, detector)
    assert [photo.way for photo in photos] == [0, None, 0]
    reasons = [photo.reason for photo in photos]
    assert [bool(reason) for reason in reasons] == [False, True, False]
    assert reasons[1].startswith("OpenCV rejects it")


def test_coinciding_landmarks_are_a_reason_to_skip_the_photo():
    photo = Photo(PHOTO)
    found = faces((BOX, np.full((5, 2), 50.0, np.float32)))
    align_photos([photo], Scripted(faces((BOX, LANDMARK)), found))
    assert photo.face is None
    assert photo.reason.startswith("degenerate landmarks")


def test_real_landmarks_end_on_the_template(detector, portrait):
    face, way = align_face(portrait, None, None, detector)
    assert WAYS[way].description == "face found again around its landmarks"
    frame = np.zeros((224, 224, 3), np.uint8)
    frame[56:168, 56:168] = face
    (found,) = detector.find([frame], [60])
    assert len(found.boxes) == 1
    # Almost no rotation, scaling or shift is left; five points cannot fit exactly (a smile).
    left = similarity_transform(found.landmark(0) - 56, FIVE_POINT_TEMPLATE)
    np.testing.assert_allclose(left[:, :2], np.eye(2), atol=0.08)
    np.testing.assert_allclose(left @ [56, 56, 1], [56, 56], atol=2)


def test_the_face_that_was_found_in_the_frame_is_given_in_pixels_of_the_photo(detector, portrait):
    photo = Photo(portrait)
    align_photos([photo], detector)
    (alone,) = detector.find([portrait], [100])
    assert photo.way == 0
    assert np.abs(photo.found.landmark - alone.landmark(0)).max() < 3
    assert IOU(photo.found.box, alone.boxes[0]) > 0.7
    again = Found.of(photo.found.numbers())
    np.testing.assert_array_equal(again.landmark, np.float32(photo.found.landmark))
    np.testing.assert_array_equal(again.box.astype(int), photo.found.box.astype(int))
    assert np.abs(again.box - photo.found.box).max() < 1e-3
    assert again.score == pytest.approx(photo.found.score, abs=1e-6)


def test_a_crop_keeps_no_face_of_a_detection_that_was_rejected():
    photo = Photo(PHOTO, BOX, None)
    align_photos([photo], Scripted(NOTHING, NOTHING, forced=[NOTHING]), keep_undetected=True)
    assert (photo.way, photo.found) == (3, None)
