"""The detector against results of 2018 (reference/mtcnn: TensorFlow 1.12, OpenCV 4.2)."""

import hashlib
import json

import numpy as np
import pytest

from src.align.detect_face import create_mtcnn, detect_face, detect_face_force
from src.common.photos import read_photo

BOX_TOLERANCE = 1e-2  # pixels; also of points
SCORE_TOLERANCE = 1e-4
NET_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def reference(shared):
    return shared / "reference" / "mtcnn"


@pytest.fixture(scope="module")
def networks():
    return create_mtcnn(None, None)


def compare(boxes, points, expected):
    count = len(expected["boxes"])
    assert boxes.shape == (count, 5)
    assert points.shape == (10, count)
    if count:
        wanted = np.array(expected["boxes"])
        np.testing.assert_allclose(boxes[:, :4], wanted[:, :4], rtol=0, atol=BOX_TOLERANCE)
        np.testing.assert_allclose(boxes[:, 4], wanted[:, 4], rtol=0, atol=SCORE_TOLERANCE)
        np.testing.assert_allclose(points, expected["points"], rtol=0, atol=BOX_TOLERANCE)


def test_networks(reference, networks):
    arrays = np.load(reference / "nets.npz")
    outputs = {"pnet": ("reg", "prob"), "rnet": ("reg", "prob"), "onet": ("reg", "lmk", "prob")}
    for network, (name, keys) in zip(networks, outputs.items(), strict=True):
        results = network(arrays[f"{name}_in"])
        assert len(results) == len(keys)
        for key, result in zip(keys, results, strict=True):
            expected = arrays[f"{name}_{key}"]
            np.testing.assert_allclose(result, expected, rtol=0, atol=NET_TOLERANCE)


def test_detect_face(reference, networks):
    expected = json.loads((reference / "detect_face.json").read_text())
    assert len(expected) == 6
    for name, photo in expected.items():
        image = read_photo(reference / "photos" / f"{name}.png")
        assert hashlib.sha256(image.tobytes()).hexdigest() == photo["rgb_sha256"]
        for minsize, found in photo["minsize"].items():
            boxes, points = detect_face(image, int(minsize), *networks, [0.6, 0.7, 0.7], 0.709)
            compare(boxes, points, found)


def test_detect_face_force(reference, networks):
    image = read_photo(reference / "photos" / "t1.png")
    expected = json.loads((reference / "force_t1.json").read_text())
    assert len(expected) >= 6
    for face in expected:
        boxes, points = detect_face_force(image, np.array(face["bbox_in"]), *networks)
        compare(boxes, points, face)
