"""Aligned faces against those of 2018 (reference/pack/aligned), from the same photographs."""

import hashlib

import cv2
import numpy as np
import pytest

from src.align.align_megaface import main
from src.align.jpeg_2018 import read_photo_2018

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


@pytest.mark.parametrize("name", list(LIBJPEG_9D))
def test_photos_are_decoded_as_by_libjpeg_9(shared, name):
    image = read_photo_2018(shared / "faces/lfw" / f"{name}.jpg")
    assert hashlib.sha256(image.tobytes()).hexdigest() == LIBJPEG_9D[name]


def test_aligned_faces(shared, tmp_path):
    reference = shared / "reference/pack/aligned"
    faces = sorted(reference.glob("*/*.jpg"))
    assert len(faces) == 69
    photos = tmp_path / "lfw"
    for face in faces:
        person = photos / face.parent.name
        person.mkdir(parents=True, exist_ok=True)
        (person / face.name).symlink_to(shared / "faces/lfw" / face.parent.name / face.name)
    output = tmp_path / "aligned"
    main(["--input-dir", str(photos), "--name", "webface", "--output-dir", str(output)])
    expected = (shared / "reference/pack/aligned.lst").read_text()
    expected = expected.replace("\taligned/", f"\t{output}/lfw/")
    assert (output / "lst").read_text() == expected
    for face in faces:
        own = cv2.imread(str(output / "lfw" / face.relative_to(reference))).astype(int)
        difference = np.abs(own - cv2.imread(str(face)))
        assert difference.mean() < 1, face
        assert difference.max() <= 12, face
