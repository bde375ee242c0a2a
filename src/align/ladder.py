"""From a photo to an aligned face: 2018's ways of finding it, one after another."""

from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from src.align.detect_face import create_mtcnn, detect_face, detect_face_force
from src.common.errors import InputError
from src.common.face_preprocess import similarity_transform, template_for, warp_to_template

SMALLEST_FACE = 100
"""Pixels; smaller faces are not looked for in a photo of which nothing is known."""

THRESHOLDS = (0.6, 0.7, 0.7)
PYRAMID_FACTOR = 0.709
MINIMUM_OVERLAP = 0.3
MINIMUM_FORCED_SCORE = 0.3

WAYS = (
    "face found again around its landmarks",
    "face found in the photo at the known box",
    "landmarks found in the known box",
    "known box cropped",
    "centre cropped",
)
"""What each of 2018's five counters counts."""


class Detector(NamedTuple):
    """The three networks."""

    pnet: object
    rnet: object
    onet: object

    @classmethod
    def create(cls, model_path=None, context=None):
        """With the weights in a folder, or those of the package `mtcnn`."""
        return cls(*create_mtcnn(context, model_path))

    def find(self, image, minsize):
        """(boxes (N,5), points (10,N)) of the faces of at least `minsize` pixels."""
        return detect_face(image, minsize, *self, THRESHOLDS, PYRAMID_FACTOR)

    def force(self, image, bbox):
        """(boxes, points) of the face in a box."""
        return detect_face_force(image, bbox, *self)


def IOU(Reframe, GTframe):
    """Intersection over union of two boxes (x1, y1, x2, y2), 0 where they do not meet.

    2018: here the corners are not inclusive, unlike in `nms`.
    """
    width = min(Reframe[2], GTframe[2]) - max(Reframe[0], GTframe[0])
    height = min(Reframe[3], GTframe[3]) - max(Reframe[1], GTframe[1])
    if width <= 0 or height <= 0:
        return 0
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (Reframe, GTframe)]
    return shared * 1.0 / (areas[0] + areas[1] - shared)


def first_face(boxes, image):
    """0: the face of the best score, 2018's choice; in a photo of several it may be anybody."""
    return 0


def central_face(boxes, image):
    """Index of the largest face near the middle, where a portrait's subject is.

    The area less twice the squared distance of the box's middle from the photo's: how facenet's and
    InsightFace's aligners for LFW chose.

    Parameters
    ----------
    boxes : ndarray of shape (N, 5)
        N at least 1.
    image : ndarray of shape (H, W, 3)
    """
    sides = boxes[:, 2:4] - boxes[:, :2]
    offset = (boxes[:, :2] + boxes[:, 2:4]) / 2 - np.array(image.shape[1::-1]) / 2
    return int(np.argmax(sides[:, 0] * sides[:, 1] - 2 * np.square(offset).sum(axis=1)))


FACE_CHOICES = {"first": first_face, "central": central_face}
"""Which of several faces is aligned."""


def align_face(
    image,
    bbox,
    landmark,
    detector,
    image_size=(112, 112),
    keep_undetected=False,
    choose=first_face,
):
    """The aligned face of a photo, and the way in which it was found.

    Without a box or without landmarks, a face that is found in the photo gives both (the note's
    change to 2018).

    Parameters
    ----------
    image : uint8 ndarray of shape (H, W, 3)
        RGB.
    bbox : array_like of shape (4,), or None
    landmark : array_like of shape (3 or 5, 2), or None
        Eyes and nose come first.
    detector : Detector
    image_size : (int, int)
        Height, width of the result.
    keep_undetected : bool
        Where no face is found, go on with what is known; in the end the centre is cropped.
    choose : callable
        From boxes (N, 5) and the image to the index of the face that is meant.

    Returns
    -------
    face : uint8 ndarray of shape (height, width, 3), or None
        None: no face is found.
    way : int or None
        Index into `WAYS`.
    """
    if bbox is None or landmark is None:
        boxes, points = detector.find(image, SMALLEST_FACE)
        if len(boxes):
            chosen = choose(boxes, image)
            bbox, landmark = boxes[chosen, :4], _landmark(points, chosen)
        elif not keep_undetected:
            return None, None
    around_landmarks = partial(_around_landmarks, choose=choose)
    for way, attempt in enumerate((around_landmarks, _at_box, _in_box, _crop_box, _crop_centre)):
        face = attempt(image, bbox, landmark, detector, image_size)
        if face is not None:
            return face, way
    return None, None


def _landmark(points, index):
    """(5, 2) of one face in points (10, N)."""
    return points[:, index].reshape(2, 5).T


def _around_landmarks(image, bbox, landmark, detector, image_size, choose):
    """Brings eyes and nose near the middle of a frame twice the size, and detects there."""
    if landmark is None:
        return None
    height, width = image_size
    middle = template_for(image_size)[:3] * 1.5 + np.float32([0.25 * width, 0.25 * height])
    try:
        matrix = similarity_transform(np.asarray(landmark, dtype=np.float32)[:3], middle)
    except InputError:
        return None  # degenerate landmarks; the next way does without them
    frame = cv2.warpAffine(image, matrix, (2 * width, 2 * height), borderValue=0.0)
    boxes, points = detector.find(frame, height)
    if not len(boxes):
        return None
    return warp_to_template(frame, _landmark(points, choose(boxes, frame)), image_size)


def _at_box(image, bbox, landmark, detector, image_size):
    """Detects in the whole photo; takes the face that overlaps the box most."""
    if bbox is None:
        return None
    boxes, points = detector.find(image, max(image.shape[0] // 4, 1))
    overlaps = [IOU(bbox, box) for box in boxes]
    if not overlaps or max(overlaps) <= MINIMUM_OVERLAP:
        return None
    return warp_to_template(image, _landmark(points, int(np.argmax(overlaps))), image_size)


def _in_box(image, bbox, landmark, detector, image_size):
    """Asks the later networks for the landmarks in the box, face or not."""
    if bbox is None:
        return None
    boxes, points = detector.force(image, bbox)
    if not len(boxes) or boxes[0, 4] < MINIMUM_FORCED_SCORE:
        return None
    return warp_to_template(image, _landmark(points, 0), image_size)


def _crop_box(image, bbox, landmark, detector, image_size):
    """The box in its height, as wide as the result's shape asks, around its middle."""
    if bbox is None:
        return None
    x1, y1, x2, y2 = bbox
    crop_width = int((y2 - y1) / image_size[0] * image_size[1])
    left = max(x1 + (x2 - x1 - crop_width) // 2, 0)
    right = min(left + crop_width, image.shape[1])
    # 2018 let a box above the photo end in a crash.
    crop = image[max(int(y1), 0) : max(int(y2), 0), int(left) : max(int(right), 0)]
    return cv2.resize(crop, image_size[::-1]) if crop.size else None


def _crop_centre(image, bbox, landmark, detector, image_size):
    """The photo without 6 % on each side."""
    height, width = image.shape[:2]
    top, left = int(height * 0.06), int(width * 0.06)
    return cv2.resize(image[top : height - top, left : width - left], image_size[::-1])
