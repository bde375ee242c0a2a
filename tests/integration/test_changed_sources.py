"""Photos that are deleted, moved or replaced, through rename → align → list → pack."""

import os

import cv2
import pytest

from src.align import align_megaface
from src.data import face2rec2, glint2lst, rename_photos
from src.formats.face_layout import open_face_records


@pytest.fixture
def view(portrait):
    """Returns a photo of the face that differs from all others, as the bytes of a JPEG."""

    def encode(number):
        return cv2.imencode(".jpg", portrait[number : 300 + number, 80:380, ::-1])[1].tobytes()

    return encode


def run_steps(folder):
    """Runs the four steps; returns the number of images of each identity of the records."""
    photos, jpg, aligned = (str(folder / name) for name in ("photos", "jpg", "aligned"))
    rename_photos.main(["--input-dir", photos, "--output-dir", jpg, "--num-workers", "1"])
    flags = ["--name", "webface", "--num-workers", "1"]
    align_megaface.main(["--input-dir", jpg, "--output-dir", aligned, *flags])
    glint2lst.main([os.path.join(aligned, "jpg"), "--output", str(folder / "set" / "train.lst")])
    face2rec2.main([str(folder / "set")])
    reader, layout = open_face_records(folder / "set")
    with reader:
        return [stop - start for start, stop in layout.identity_ranges.values()]


def test_only_the_photos_that_exist_are_packed(tmp_path, view):
    for number, name in enumerate(("a/1", "a/2", "a/3", "b/1", "b/2")):
        path = tmp_path / "photos" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(view(number))
    assert run_steps(tmp_path) == [3, 2]
    records = (tmp_path / "set" / "train.rec").read_bytes()
    assert run_steps(tmp_path) == [3, 2]
    assert (tmp_path / "set" / "train.rec").read_bytes() == records
    photos = tmp_path / "photos"
    (photos / "a" / "1.jpg").unlink()
    (photos / "a" / "2.jpg").rename(photos / "b" / "from a.jpg")
    assert run_steps(tmp_path) == [1, 3]
    moved = (tmp_path / "set" / "train.rec").read_bytes()
    (photos / "b" / "1.jpg").write_bytes(view(9))
    os.utime(photos / "b" / "1.jpg", (1_000_000_000, 1_000_000_000))
    assert run_steps(tmp_path) == [1, 3]
    assert (tmp_path / "set" / "train.rec").read_bytes() != moved
    for path in (photos / "b").iterdir():
        path.unlink()
    assert run_steps(tmp_path) == [1]
