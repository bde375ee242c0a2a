"""From photos to aligned faces: 2018's ways of finding a face, tried one after the other.

Each way is a function over a list of photos. It sets the `face` of those with which it succeeds,
and the next way tries the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from src.align.detector import Detector, Faces
from src.align.template import similarity_transforms, template_for, warp_to_template
from src.common.errors import InputError

SMALLEST_FACE = 100
"""Pixels; the smallest face that is detected in a photo whose box and landmarks are unknown."""

MINIMUM_OVERLAP = 0.3
MINIMUM_FORCED_SCORE = 0.3

Choice = Callable[[np.ndarray, np.ndarray], int]
"""Takes boxes (N, 5), N at least 1, and the image (H, W, 3); returns the index of a face."""


@dataclass
class Photo:
    """A photo that is being aligned.

    Attributes
    ----------
    image
        uint8 (H, W, 3), RGB
    bbox
        (4,), or None if it is unknown.
    landmark
        (3 or 5, 2), eyes and nose first, or None if it is unknown.
    face
        uint8 (height, width, 3), the aligned face; None until it is found.
    way
        Index into `WAYS` of the way that found the face.
    reason
        Why the photo is skipped; '' if it is not.
    """

    image: np.ndarray
    bbox: np.ndarray | None = None
    landmark: np.ndarray | None = None
    face: np.ndarray | None = None
    way: int | None = None
    reason: str = ""

    @property
    def waiting(self) -> bool:
        """Whether another way has to be tried."""
        return self.face is None and not self.reason

    @contextlib.contextmanager
    def skipped_on_error(self) -> Iterator[None]:
        """Turns an error from OpenCV or the template into the reason to skip this photo."""
        try:
            yield
        except cv2.error as error:  # OpenCV accepts no photo wider than 32,767 pixels
            self.reason = f"OpenCV rejects it: {error.err}"
        except InputError as error:  # landmarks that the detector put on one point
            self.reason = str(error)


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


def align_photos(
    photos: Sequence[Photo],
    detector: Detector,
    image_size: tuple[int, int] = (112, 112),
    keep_undetected: bool = False,
    choose: Choice = first_face,
) -> None:
    """Sets `face` and `way`, or `reason`, of each photo.

    If the box or the landmarks of a photo are unknown, both are taken from a face that is detected
    in it, unlike in 2018.

    Parameters
    ----------
    image_size
        Height, width of the faces.
    keep_undetected
        If no face is found, continue with what is known; as a last resort, crop the centre.
    choose
        Which of several faces is aligned.
    """
    locate(photos, detector, keep_undetected, choose)
    for number, way in enumerate(WAYS):
        waiting = [photo for photo in photos if photo.waiting]
        way.attempt(waiting, detector, image_size, choose)
        for photo in waiting:
            if photo.face is not None:
                photo.way = number


def locate(
    photos: Sequence[Photo], detector: Detector, keep_undetected: bool, choose: Choice
) -> None:
    """Finds a face in each photo whose box or landmarks are unknown."""
    unknown = [
        photo
        for photo in photos
        if photo.waiting and (photo.bbox is None or photo.landmark is None)
    ]
    images = [photo.image for photo in unknown]
    found = detect_each(detector.find, unknown, images, [SMALLEST_FACE] * len(unknown))
    for photo, faces in zip(unknown, found, strict=True):
        if len(faces.boxes):
            chosen = choose(faces.boxes, photo.image)
            photo.bbox, photo.landmark = faces.boxes[chosen, :4], faces.landmark(chosen)
        elif photo.waiting and not keep_undetected:
            height, width = photo.image.shape[:2]
            photo.reason = (
                f"no face of at least {SMALLEST_FACE} pixels found in {width}×{height} pixels"
            )


def detect_each(
    method: Callable[..., list[Faces]], photos: Sequence[Photo], *inputs: Sequence[Any]
) -> list[Faces]:
    """The result of a detector's method; a photo that OpenCV rejects gets no faces, and a reason.

    Parameters
    ----------
    method
        `find` or `force`.
    inputs
        The method's arguments, one element for each photo.
    """
    if not photos:
        return []
    try:
        return method(*inputs)
    except cv2.error:
        if len(photos) > 1:
            rows = zip(photos, *inputs, strict=True)
            return [
                detect_each(method, [photo], *([value] for value in row))[0] for photo, *row in rows
            ]
        with photos[0].skipped_on_error():
            raise
        return [Faces(np.empty((0, 5)), np.empty((10, 0), np.float32))]


def around_landmarks(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Moves eyes and nose near the middle of a frame of twice the size, and detects faces there."""
    known = [photo for photo in photos if photo.landmark is not None]
    if not known:
        return
    height, width = image_size
    middle = template_for(image_size)[:3] * 1.5 + np.array(
        [0.25 * width, 0.25 * height], np.float32
    )
    sources = np.stack([np.asarray(photo.landmark, np.float32)[:3] for photo in known])
    framed, frames = [], []
    for photo, matrix in zip(known, similarity_transforms(sources, middle), strict=True):
        if np.isnan(matrix).any():
            continue  # degenerate landmarks; the next way does not need them
        with photo.skipped_on_error():
            frame = cv2.warpAffine(photo.image, matrix, (2 * width, 2 * height), borderValue=0.0)
            framed.append(photo)
            frames.append(frame)
    found = detect_each(detector.find, framed, frames, [height] * len(framed))
    for photo, frame, faces in zip(framed, frames, found, strict=True):
        if len(faces.boxes):
            with photo.skipped_on_error():
                landmark = faces.landmark(choose(faces.boxes, frame))
                photo.face = warp_to_template(frame, landmark, image_size)


def at_box(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Detects faces in the complete photo; uses the one that overlaps the box most."""
    known = [(photo, photo.bbox) for photo in photos if photo.bbox is not None]
    images = [photo.image for photo, _ in known]
    smallest = [max(image.shape[0] // 4, 1) for image in images]
    found = detect_each(detector.find, [photo for photo, _ in known], images, smallest)
    for (photo, bbox), faces in zip(known, found, strict=True):
        overlaps = [IOU(bbox, box) for box in faces.boxes]
        if overlaps and max(overlaps) > MINIMUM_OVERLAP:
            with photo.skipped_on_error():
                landmark = faces.landmark(int(np.argmax(overlaps)))
                photo.face = warp_to_template(photo.image, landmark, image_size)


def in_box(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Runs only the refine and output networks on the known box."""
    known = [(photo, photo.bbox) for photo in photos if photo.bbox is not None]
    boxes = [bbox for _, bbox in known]
    images = [photo.image for photo, _ in known]
    found = detect_each(detector.force, [photo for photo, _ in known], images, boxes)
    for (photo, _), faces in zip(known, found, strict=True):
        if len(faces.boxes) and faces.boxes[0, 4] >= MINIMUM_FORCED_SCORE:
            with photo.skipped_on_error():
                photo.face = warp_to_template(photo.image, faces.landmark(0), image_size)


def crop_box(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Crops the box at its full height and the aspect ratio of the result, around its middle."""
    for photo in photos:
        if photo.bbox is None:
            continue
        x1, y1, x2, y2 = photo.bbox
        crop_width = int((y2 - y1) / image_size[0] * image_size[1])
        left = max(x1 + (x2 - x1 - crop_width) // 2, 0)
        right = min(left + crop_width, photo.image.shape[1])
        # In 2018 a box above the photo caused a crash.
        rows = slice(max(int(y1), 0), max(int(y2), 0))
        crop = photo.image[rows, int(left) : max(int(right), 0)]
        if crop.size:
            with photo.skipped_on_error():
                photo.face = cv2.resize(crop, image_size[::-1])


def crop_centre(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Crops 6 % off each side of the photo."""
    for photo in photos:
        height, width = photo.image.shape[:2]
        top, left = int(height * 0.06), int(width * 0.06)
        with photo.skipped_on_error():
            centre = photo.image[top : height - top, left : width - left]
            photo.face = cv2.resize(centre, image_size[::-1])


class Way(NamedTuple):
    """A way of finding a face, and what 2018's counter for it counts."""

    attempt: Callable[[Sequence[Photo], Detector, tuple[int, int], Choice], None]
    description: str


WAYS = (
    Way(around_landmarks, "face found again around its landmarks"),
    Way(at_box, "face found in the photo at the known box"),
    Way(in_box, "landmarks found in the known box"),
    Way(crop_box, "known box cropped"),
    Way(crop_centre, "centre cropped"),
)
"""In the order in which they are tried."""
