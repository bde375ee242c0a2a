"""Which of several faces in a photo is aligned."""

from collections.abc import Callable, Sequence

import numpy as np

Choice = Callable[[np.ndarray, np.ndarray], int]
"""Takes boxes (N, 5), N at least 1, and the image (H, W, 3); returns the index of a face."""


def IOU(Reframe: Sequence[float] | np.ndarray, GTframe: Sequence[float] | np.ndarray) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2), 0 if they do not intersect.

    2018: here the corners are not inclusive, unlike in `nms`.
    """
    width = min(Reframe[2], GTframe[2]) - max(Reframe[0], GTframe[0])
    height = min(Reframe[3], GTframe[3]) - max(Reframe[1], GTframe[1])
    if width <= 0 or height <= 0:
        return 0
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (Reframe, GTframe)]
    return shared * 1.0 / (areas[0] + areas[1] - shared)


def first_face(boxes: np.ndarray, image: np.ndarray) -> int:
    """0: the face with the best score, as in 2018; in a group photo it can be anybody's."""
    return 0


def central_face(boxes: np.ndarray, image: np.ndarray) -> int:
    """Index of the largest face near the middle, where the subject of a portrait is.

    The area minus twice the squared distance between the middle of the box and that of the photo:
    the rule of facenet's and InsightFace's aligners for LFW.
    """
    sides = boxes[:, 2:4] - boxes[:, :2]
    offset = (boxes[:, :2] + boxes[:, 2:4]) / 2 - np.array(image.shape[1::-1]) / 2
    return int(np.argmax(sides[:, 0] * sides[:, 1] - 2 * np.square(offset).sum(axis=1)))


FACE_CHOICES: dict[str, Choice] = {"first": first_face, "central": central_face}
"""Which of several faces is aligned."""
