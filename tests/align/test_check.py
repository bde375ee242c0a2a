"""Sets aligned here are recognised, and so are those that were aligned differently."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from src.align.check import main
from src.align.template import similarity_transform, template_for
from src.common.errors import InputError
from src.data.face2rec2 import main as pack


@pytest.fixture(scope="module")
def landmark(detector, portrait):
    (faces,) = detector.find([portrait], [60])
    return faces.landmark(0)


def write_set(folder, portrait, landmark, move=lambda template: template, size=(112, 112)):
    """Twelve variations of a face, whose landmarks are moved to a template of another program."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(0)
    moved = move(template_for(size).astype(np.float64))
    for number in range(12):
        image = np.clip(portrait.astype(int) + random.randint(-15, 16), 0, 255).astype(np.uint8)
        face = cv2.warpAffine(image, similarity_transform(landmark, moved), size[::-1])
        cv2.imwrite(str(folder / f"{number}.png"), face[..., ::-1])
    return folder


def verdict(folder, capsys, *flags):
    status = main([str(folder), *flags])
    return status, capsys.readouterr().out


@pytest.mark.parametrize("size", [(112, 112), (112, 96), (224, 224)])
def test_faces_on_the_template(tmp_path, portrait, landmark, capsys, size):
    folder = write_set(tmp_path / "a" / "p", portrait, landmark, size=size)
    status, printed = verdict(folder.parent, capsys)
    assert (status, "aligned as here" in printed) == (0, True)
    assert "12 faces, 0 in which none was found, 0 that cannot be read" in printed
    assert all(name in printed for name in ("left eye", "nose", "right mouth corner"))


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda t: t + np.array([0, 8]), "shift (+"),
        (lambda t: (t - 56) * 0.8 + 56, "size × 0."),
        (lambda t: (t - 56) * 1.15 + 56, "size × 1."),
        (lambda t: (t - 56) @ np.array([[0.99, 0.1], [-0.1, 0.99]]) + 56, "turn "),
    ],
)
def test_faces_somewhere_else(tmp_path, portrait, landmark, capsys, move, expected):
    folder = write_set(tmp_path / "p", portrait, landmark, move)
    status, printed = verdict(folder, capsys)
    assert status == 1
    line = printed.splitlines()[-1]
    assert line.startswith("ALIGNED DIFFERENTLY")
    assert expected in line


def test_a_list_and_a_packed_set(tmp_path, portrait, landmark, capsys):
    folder = write_set(tmp_path / "set" / "p", portrait, landmark)
    lines = [f"1\t{folder / f'{number}.png'}\t0\n" for number in range(12)]
    (tmp_path / "train.lst").write_text("".join(lines) + "1\tmissing.png\t0\n")
    status, printed = verdict(tmp_path / "train.lst", capsys)
    assert status == 0
    assert "1 that cannot be read" in printed
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "train.lst").write_text("".join(lines))
    (tmp_path / "packed" / "property").write_text("1,112,112")
    pack([str(tmp_path / "packed")])
    capsys.readouterr()
    status, printed = verdict(tmp_path / "packed", capsys, "--count", "11")
    assert status == 0
    assert "11 faces" in printed


def test_what_is_no_aligned_set_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder or list"):
        main([str(tmp_path / "missing")])
    with pytest.raises(InputError, match="no pictures"):
        main([str(tmp_path)])
    (tmp_path / "notes.txt").write_text("1\ta.png\t0\nno list\n")
    with pytest.raises(InputError, match=r"notes\.txt: line 2: list line 'no list'"):
        main([str(tmp_path / "notes.txt")])
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((112, 112, 3), number, np.uint8))
    with pytest.raises(InputError, match=r"found in 0 pictures .*are these aligned faces"):
        main([str(tmp_path)])


def test_the_status_tells_a_script(tmp_path, portrait, landmark):
    folder = write_set(tmp_path / "p", portrait, landmark, lambda t: t + np.array([0, 9]))
    done = subprocess.run([sys.executable, "-m", "src.align.check", str(folder)], check=False)
    assert done.returncode == 1
