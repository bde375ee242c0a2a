"""From photos to aligned faces as 2018's `align_lfw` did it: one detection, of smaller faces."""

from collections.abc import Sequence

from src.align.detector import Detector, MtcnnDetector, TunedMtcnn
from src.align.ladder import Photo, central_face, detect_each
from src.align.template import crop_to_box, warp_to_template

SMALLEST_FACE = 20  # pixels
THRESHOLDS = (0.6, 0.7, 0.9)
PYRAMID_FACTOR = 0.85
WAYS = ("face found", "centre cropped")


def lfw_detector(mtcnn: MtcnnDetector) -> Detector:
    """The detector with the settings of 2018's `align_lfw`."""
    return TunedMtcnn(mtcnn, THRESHOLDS, PYRAMID_FACTOR)


def align_lfw_photos(
    photos: Sequence[Photo], detector: Detector, image_size: tuple[int, int]
) -> None:
    """Sets `face` and `way` (an index into `WAYS`) of each photo.

    The most central face is warped by its landmarks, without a second look; if there is none, the
    middle of the photo is taken.
    """
    images = [photo.image for photo in photos]
    found = detect_each(detector.find, photos, images, [SMALLEST_FACE] * len(photos))
    for photo, faces in zip(photos, found, strict=True):
        with photo.skipped_on_error():
            if len(faces.boxes):
                landmark = faces.landmark(central_face(faces.boxes, photo.image))
                photo.face, photo.way = warp_to_template(photo.image, landmark, image_size), 0
            elif photo.waiting:
                photo.face, photo.way = crop_to_box(photo.image, None, image_size), 1
