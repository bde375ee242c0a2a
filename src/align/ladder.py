"""From photos to aligned faces: 2018's ways of finding a face, tried one after the other.

Each way is a function over a list of photos. It sets the `face` of those with which it succeeds,
and the next way tries the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from src.align.choices import IOU, Choice, first_face
from src.align.detector import Detector, Faces, Found
from src.align.photo import Photo
from src.align.settings import SMALLEST_FACE
from src.align.template import similarity_transforms, template_for, warp_to_template

MINIMUM_OVERLAP = 0.3
MINIMUM_FORCED_SCORE = 0.3


def align_photos(
    photos: Sequence[Photo],
    detector: Detector,
    image_size: tuple[int, int] = (112, 112),
    keep_undetected: bool = False,
    choose: Choice = first_face,
    smallest: float = SMALLEST_FACE,
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
    smallest
        Pixels; the smallest face to look for in a photo whose box or landmarks are unknown.
    """
    locate(photos, detector, keep_undetected, choose, smallest)
    try_ways(photos, detector, image_size, choose)


def try_ways(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int], choose: Choice
) -> None:
    """Sets `face` and `way` of each photo, with what is known of it; see `align_photos`."""
    for number, way in enumerate(WAYS):
        waiting = [photo for photo in photos if photo.waiting]
        way.attempt(waiting, detector, image_size, choose)
        for photo in waiting:
            if photo.face is not None:
                photo.way = number


def locate(
    photos: Sequence[Photo],
    detector: Detector,
    keep_undetected: bool,
    choose: Choice,
    smallest: float,
) -> None:
    """Finds a face in each photo whose box or landmarks are unknown."""
    unknown = [
        photo
        for photo in photos
        if photo.waiting and (photo.bbox is None or photo.landmark is None)
    ]
    images = [photo.image for photo in unknown]
    found = detect_each(detector.find, unknown, images, [smallest] * len(unknown))
    for photo, faces in zip(unknown, found, strict=True):
        if len(faces.boxes):
            chosen = choose(faces.boxes, photo.image)
            photo.found = faces.found(chosen)
            photo.bbox, photo.landmark = photo.found.box, photo.found.landmark
        elif photo.waiting and not keep_undetected:
            height, width = photo.image.shape[:2]
            photo.reason = (
                f"no face of at least {smallest:g} pixels found in {width}×{height} pixels"
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
    framed, frames, matrices = [], [], []
    for photo, matrix in zip(known, similarity_transforms(sources, middle), strict=True):
        if np.isnan(matrix).any():
            continue  # degenerate landmarks; the next way does not need them
        with photo.skipped_on_error():
            frame = cv2.warpAffine(photo.image, matrix, (2 * width, 2 * height), borderValue=0.0)
            framed.append(photo)
            frames.append(frame)
            matrices.append(matrix)
    found = detect_each(detector.find, framed, frames, [height] * len(framed))
    for photo, frame, matrix, faces in zip(framed, frames, matrices, found, strict=True):
        if len(faces.boxes):
            with photo.skipped_on_error():
                chosen = faces.found(choose(faces.boxes, frame))
                photo.face = warp_to_template(frame, chosen.landmark, image_size)
                photo.found = _in_photo(chosen, matrix)


def _in_photo(found: Found, matrix: np.ndarray) -> Found:
    """A face of a frame in pixels of its photo; the box keeps its centre and area.

    Parameters
    ----------
    matrix
        (2, 3), from the photo to the frame: a similarity transform.
    """
    back = cv2.invertAffineTransform(matrix)
    corners = found.box.reshape(2, 2)
    centre = back[:, :2] @ corners.mean(axis=0) + back[:, 2]
    half = (corners[1] - corners[0]) / 2 * np.sqrt(np.linalg.det(back[:, :2]))
    landmark = found.landmark @ back[:, :2].T + back[:, 2]
    return Found(np.concatenate([centre - half, centre + half]), found.score, landmark)


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
                best = faces.found(int(np.argmax(overlaps)))
                photo.face = warp_to_template(photo.image, best.landmark, image_size)
                photo.found = best


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
                photo.found = faces.found(0)


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
