"""From photos to faces as 2018's `align_lfw`, `align_celeb` and `align_insight`: one detection.

Unlike in `ladder`, faces are not detected a second time around the landmarks. Each function works
on a list of photos.
"""

from collections.abc import Sequence

import numpy as np

from src.align.choices import IOU, Choice
from src.align.detector import Detector
from src.align.ladder import detect_each
from src.align.photo import Photo
from src.align.template import crop_to_box, warp_to_template


def find_once(photos: Sequence[Photo], detector: Detector, smallest: float, choose: Choice) -> None:
    """Sets `found` of each photo in which there is a face.

    With a known box: the face that overlaps it most. Faces of half the photo or of the box's size
    are then looked for, instead of `smallest` pixels; without any, the box is taken for a face.

    Parameters
    ----------
    smallest
        Pixels.
    choose
        Which of several faces is taken without a known box.
    """
    images = [photo.image for photo in photos]
    sizes = [_smallest_known(photo, smallest) for photo in photos]
    for photo, faces in zip(photos, detect_each(detector.find, photos, images, sizes), strict=True):
        if not len(faces.boxes):
            continue
        if photo.bbox is None:
            photo.found = faces.found(choose(faces.boxes, photo.image))
        else:
            photo.found = faces.found(int(np.argmax([IOU(photo.bbox, box) for box in faces.boxes])))
    missed = [p for p in photos if p.found is None and p.bbox is not None and p.waiting]
    boxes = [photo.bbox for photo in missed]
    forced = detect_each(detector.force, missed, [photo.image for photo in missed], boxes)
    for photo, faces in zip(missed, forced, strict=True):
        if len(faces.boxes):
            photo.found = faces.found(0)


def _smallest_known(photo: Photo, smallest: float) -> float:
    """Pixels; the smallest face to look for in a photo."""
    if photo.bbox is None:
        return smallest
    height, width = photo.image.shape[:2]
    x1, y1, x2, y2 = photo.bbox
    return max(min(x2 - x1, y2 - y1, height // 2, width // 2), 1)


def warp_found(photos: Sequence[Photo], image_size: tuple[int, int], keep_undetected: bool) -> None:
    """Sets `face` and `way`, or `reason`: the face that was found is warped by its landmarks (0).

    Parameters
    ----------
    keep_undetected
        Take the middle of a photo without a face (1); otherwise the photo is skipped.
    """
    for photo in photos:
        with photo.skipped_on_error():
            if photo.found is not None:
                photo.face = warp_to_template(photo.image, photo.found.landmark, image_size)
                photo.way = 0
            elif photo.waiting and keep_undetected:
                photo.face, photo.way = crop_to_box(photo.image, None, image_size), 1
            elif photo.waiting:
                photo.reason = "no face found"
