"""2018's `align_lfw`: its detector settings, its choice of a face, and where it writes."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from src.align.align_lfw import main
from src.align.detect_face import create_mtcnn, detect_face
from src.align.jpeg_2018 import read_photo_2018
from src.align.template import warp_to_template


@pytest.fixture
def photos(tmp_path, portrait):
    """A photo with a face, one with a large central and a small other face, one without a face."""
    face = portrait[:300, 80:380]
    two = np.zeros((300, 500, 3), np.uint8)
    two[:, 100:400], two[:100, :100] = face, cv2.resize(face, (100, 100))
    views = {"A/A_0001.jpg": face, "A/A_0002.jpg": two, "B/B_0001.png": np.full_like(face, 90)}
    for name, view in views.items():
        path = tmp_path / "lfw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), view[..., ::-1])
    return tmp_path / "lfw"


def test_faces_are_those_of_the_settings_of_2018(photos, tmp_path, capsys):
    output = tmp_path / "out"
    main(["--input-dir", str(photos), "--output-dir", str(output), "--num-workers", "1"])
    lines = (output / "lst").read_text().splitlines()
    names = ["A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.png"]
    assert lines == [f"1\t{output / name}\t{int(name[0] == 'B')}" for name in names]
    networks = create_mtcnn(None, None)
    for name in names[:2]:
        image = read_photo_2018(str(photos / name), True)
        boxes, points = detect_face(image, 20, *networks, [0.6, 0.7, 0.9], 0.85)
        middle = np.array(image.shape[1::-1]) / 2
        offsets = [np.square((box[:2] + box[2:4]) / 2 - middle).sum() for box in boxes]
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in boxes]
        best = int(np.argmax(np.array(areas) - 2 * np.array(offsets)))
        landmark = points[:, best].reshape(2, 5).T
        expected = warp_to_template(image, landmark, (112, 112))
        encoded = cv2.imencode(".jpg", np.ascontiguousarray(expected[..., ::-1]))[1].tobytes()
        assert (output / name).read_bytes() == encoded
    undetected = cv2.imread(str(output / names[2]))
    assert undetected.shape == (112, 112, 3)
    assert (undetected == 90).all()
    printed = capsys.readouterr().out
    assert "dataset size lfw 3" in printed
    assert "2  face found" in printed
    assert "1  centre cropped" in printed


def test_small_faces_are_found_and_the_size_can_be_chosen(tmp_path, portrait):
    (tmp_path / "lfw" / "a").mkdir(parents=True)
    small = np.zeros((120, 120, 3), np.uint8)
    small[20:100, 20:100] = cv2.resize(portrait[:300, 80:380], (80, 80))
    cv2.imwrite(str(tmp_path / "lfw" / "a" / "1.jpg"), small[..., ::-1])
    flags = ["--input-dir", str(tmp_path / "lfw"), "--image-size", "112,96", "--num-workers", "1"]
    main([*flags, "--output-dir", str(tmp_path / "out")])
    face = cv2.imread(str(tmp_path / "out" / "a" / "1.jpg"))
    assert face.shape == (112, 96, 3)
    assert face[30:80, 30:66].std() > 20


def test_the_shell_recipe_of_2018_works(photos, tmp_path, repository):
    """align_lfw, then `mv lst train.lst`, then face2rec2."""
    recipe = """
    python {src}/align/align_lfw.py --input-dir lfw --output-dir out --num-workers 1
    mv out/lst out/train.lst
    echo 2,112,112 > out/property
    python {src}/data/face2rec2.py out
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e"], input=recipe.format(src=repository / "src"), cwd=tmp_path, text=True,
        capture_output=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 images + 2 identities" in done.stdout


def test_a_second_run_keeps_faces_and_removes_those_of_deleted_photos(photos, tmp_path, caplog):
    flags = [
        "--input-dir",
        str(photos),
        "--output-dir",
        str(tmp_path / "out"),
        "--num-workers",
        "1",
    ]
    main(flags)
    before = os.stat(tmp_path / "out" / "A" / "A_0001.jpg").st_mtime_ns
    (photos / "A" / "A_0002.jpg").unlink()
    main(flags)
    assert os.stat(tmp_path / "out" / "A" / "A_0001.jpg").st_mtime_ns == before
    assert not (tmp_path / "out" / "A" / "A_0002.jpg").exists()
    assert "1 photos no longer exist" in caplog.text
