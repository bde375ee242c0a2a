"""Aligned faces against those of 2018 (reference/pack/aligned), from the same photographs.

The detector rounds boxes to whole pixels, so the last digits of its networks, which differ between
CPUs, can move a crop by a pixel and a face by much more. `SENSITIVE` lists the reference photos for
which that can happen. For them a landmark distance is checked, for all others the reference's
limits.
"""

import hashlib

import cv2
import numpy as np
import pytest

from src.align.align_megaface import main
from src.align.detector import MtcnnDetector
from src.align.jpeg_2018 import read_photo_2018
from src.align.ladder import align_photos
from src.align.photo import Photo
from src.align.template import FIVE_POINT_TEMPLATE

# sha256 of the RGB bytes that libjpeg 9d gives (decoded with the package jpeglib 1.0.2).
LIBJPEG_9D = {
    "Abdullah_Gul/Abdullah_Gul_0013": (
        "985ba2b4f320f2254a3b971755800c6e78c21febc73d3811960b6655e56f9531"
    ),
    "Paul_Bremer/Paul_Bremer_0018": (
        "d0f5fa00ad18abe9969b8cf376ba1aca192c06c2d38fca18a39e485258cfe63a"
    ),
    "John_Edwards/John_Edwards_0007": (
        "1eca1b950702ea620eed274c57d444cf8197a9b3089321e7d1be981510268427"
    ),
}

# Noise of ±1e-5 on the networks' inputs (-1..1), drawn 200 times, changed each of these faces by
# more than 0.1 grey levels (mean) at least once, and moved its landmarks by up to 2.6 pixels. No
# other face changed by more than 0.04. Between real instruction sets one face of the 69 differs.
SENSITIVE = {
    *("Abdullah_Gul_0016", "Adrien_Brody_0003", "Alejandro_Toledo_0004", "Alejandro_Toledo_0005"),
    *("Alvaro_Uribe_0026", "Andy_Roddick_0005", "Ann_Veneman_0008", "Anna_Kournikova_0006"),
    *("Ari_Fleischer_0001", "Ari_Fleischer_0002", "Ari_Fleischer_0003", "Ari_Fleischer_0005"),
    "Ariel_Sharon_0005",
}
NOISE = 1e-5
LARGEST_SHIFT = 3.0  # pixels of the aligned face


@pytest.fixture(scope="module")
def reference_faces(shared):
    """Paths of the aligned faces of 2018."""
    faces = sorted((shared / "reference/pack/aligned").glob("*/*.jpg"))
    assert len(faces) == 69
    assert {face.stem for face in faces} >= SENSITIVE
    return faces


@pytest.mark.parametrize("name", list(LIBJPEG_9D))
def test_photos_are_decoded_as_by_libjpeg_9(shared, name):
    image = read_photo_2018(shared / "faces/lfw" / f"{name}.jpg")
    assert hashlib.sha256(image.tobytes()).hexdigest() == LIBJPEG_9D[name]


def landmark_shift(face, other):
    """Largest distance in pixels between the landmarks of two aligned faces (112, 112, 3).

    Estimates the affine map between the pictures (Evangelidis and Psarakis, "Parametric image
    alignment using enhanced correlation coefficient maximization", 2008), and applies it to the
    template's five points.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (face, other)]
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-7)
    start = np.eye(2, 3, dtype=np.float32)
    _, matrix = cv2.findTransformECC(*grey, start, cv2.MOTION_AFFINE, stop, None, 5)
    moved = FIVE_POINT_TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    return np.linalg.norm(moved - FIVE_POINT_TEMPLATE, axis=1).max()


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 5.0])
def test_landmark_shift_is_measured(reference_faces, shift):
    face = cv2.imread(str(reference_faces[0]))
    matrix = np.float32([[1, 0, 0.6 * shift], [0, 1, 0.8 * shift]])
    other = cv2.warpAffine(face, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE)
    assert landmark_shift(face, other) == pytest.approx(shift, abs=0.1)


def test_aligned_faces(shared, reference_faces, tmp_path):
    photos = tmp_path / "lfw"
    for face in reference_faces:
        person = photos / face.parent.name
        person.mkdir(parents=True, exist_ok=True)
        (person / face.name).symlink_to(shared / "faces/lfw" / face.parent.name / face.name)
    output = tmp_path / "aligned"
    main(["--input-dir", str(photos), "--name", "webface", "--output-dir", str(output)])
    expected = (shared / "reference/pack/aligned.lst").read_text()
    expected = expected.replace("\taligned/", f"\t{output}/lfw/")
    assert (output / "lst").read_text() == expected
    for path in reference_faces:
        face, own = (
            cv2.imread(str(p)) for p in (path, output / "lfw" / path.parent.name / path.name)
        )
        if path.stem in SENSITIVE:
            assert landmark_shift(face, own) <= LARGEST_SHIFT, path
        else:
            difference = np.abs(own.astype(int) - face)
            assert difference.mean() < 1, path
            assert difference.max() <= 12, path


class NoisyNetwork:
    """One of the detector's networks, with noise in the last digits of its input."""

    def __init__(self, network, random):
        self._network = network
        self._random = random

    def __call__(self, images):
        noise = self._random.uniform(-NOISE, NOISE, images.shape)
        return self._network(images + noise.astype(np.float32))


def aligned_face(image, detector):
    photo = Photo(image)
    align_photos([photo], detector)
    return photo.face


@pytest.mark.slow
def test_only_the_sensitive_faces_depend_on_the_last_digits(shared, reference_faces):
    detector, random = MtcnnDetector.create(), np.random.RandomState(0)
    noisy = MtcnnDetector(*(NoisyNetwork(network, random) for network in detector.networks))
    for path in reference_faces:
        photo = read_photo_2018(shared / "faces/lfw" / path.parent.name / path.name)
        face = aligned_face(photo, detector)
        for _ in range(8):
            other = aligned_face(photo, noisy)
            if path.stem in SENSITIVE:
                assert landmark_shift(face, other) <= LARGEST_SHIFT, path
            else:
                assert np.abs(face.astype(int) - other).mean() < 0.1, path
