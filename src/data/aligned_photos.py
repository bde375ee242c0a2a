"""Photos of a protocol, aligned when they are packed."""

import cv2

from src.align.choices import FACE_CHOICES
from src.align.detector import MtcnnDetector
from src.align.ladder import WAYS, align_photos
from src.align.photo import Photo
from src.common.errors import InputError
from src.common.photos import read_photo

SMALLEST_FACE = 20  # pixels, as in 2018's cfp2pack and agedb2pack
QUALITY = 95  # of the JPEG, OpenCV's default


class AlignedPhotos:
    """Aligned faces as encoded pictures; a photo without a face gives what can be cropped.

    A protocol needs all of its photos, so none is left out, as in 2018.

    Parameters
    ----------
    image_size
        Height, width of the faces.
    face
        Which of several faces; a key of `FACE_CHOICES`.

    Attributes
    ----------
    ways
        Way in which a face was found → number of photos.
    """

    def __init__(self, image_size: tuple[int, int], face: str = "central") -> None:
        self._image_size, self._choose = image_size, FACE_CHOICES[face]
        self._detector = MtcnnDetector.create()
        self.ways: dict[str, int] = {}

    def __call__(self, path: str) -> bytes:
        """The face in a photo file, a JPEG; InputError or OSError if it cannot be read."""
        photo = Photo(read_photo(path))
        align_photos([photo], self._detector, self._image_size, True, self._choose, SMALLEST_FACE)
        if photo.face is None or photo.way is None:
            raise InputError(f"{path}: {photo.reason}")
        name = WAYS[photo.way].description
        self.ways[name] = self.ways.get(name, 0) + 1
        bgr = cv2.cvtColor(photo.face, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
