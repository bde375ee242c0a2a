"""2018's `align_facescrub`, `align_celeb` and `align_insight`: what they read and write."""

import argparse
import base64
import json

import cv2
import numpy as np
import pytest

from src.align import align_celeb, align_facescrub, align_insight
from src.align.detect_face import create_mtcnn, detect_face, detect_face_force
from src.align.jpeg_2018 import read_photo_2018
from src.align.template import warp_to_template
from src.common.errors import InputError
from src.common.photos import decode_photo
from src.data.face2rec2 import main as pack
from src.formats.lists import parse_lst_line

LARGE = ([0.6, 0.7, 0.7], 0.709)


@pytest.fixture(scope="module")
def networks():
    return create_mtcnn(None, None)


@pytest.fixture(scope="module")
def pictures(portrait):
    """JPEG bytes: a face, a face aside with a smaller one, nothing."""
    face = portrait[:300, 80:380]
    two = np.zeros((300, 560, 3), np.uint8)
    two[:, 260:], two[:150, :150] = face, cv2.resize(face, (150, 150))
    views = {"face": face, "two": two, "nothing": np.full_like(face, 90)}
    return {
        name: cv2.imencode(".jpg", np.ascontiguousarray(view[..., ::-1]))[1].tobytes()
        for name, view in views.items()
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pixels(face, extension):
    return cv2.imencode(extension, np.ascontiguousarray(face[..., ::-1]))[1].tobytes()


# ---------------------------------------------------------------------------------- facescrub


@pytest.fixture
def facescrub(tmp_path, pictures):
    """A face at its box, the smaller of two, nothing in its box, and photos that are not used."""
    root = tmp_path / "facescrub"
    photos = {"Al Pacino_1": "face", "Al Pacino_2": "two", "Al Pacino_3": "nothing"}
    photos |= {"Al Pacino_4": "face", "Al Pacino_5": "face", "Al Pacino_x": "face"}
    photos |= {"Bo Derek_7": "face"}
    for name, picture in photos.items():
        person = name.split("_")[0]
        write(root / "downloaded" / person / f"{name}.jpg", pictures[picture])
    header = "name\timage_id\tface_id\turl\tbbox\tsha256\n"
    rows = [(1, "101,61,188,174"), (2, "51,30,94,87"), (3, "90,60,210,220"), (4, "1,1,9,9")]
    lines = [f"Al Pacino\t0\t{number}\turl\t{box}\thash\n" for number, box in rows]
    write(root / "facescrub_actors.txt", header + "".join(lines))
    write(
        root / "facescrub_actresses.txt", f"{header}Bo Derek\t0\t7\turl\t101,61,188,174\thash\r\n"
    )
    names = ["x/Al Pacino_1.jpg", "Al Pacino_2.png", "Al Pacino_3.jpg", "Al Pacino_5.jpg"]
    names += ["Bo Derek_7.jpg", "a_b_1.jpg", "strange"]
    write(root / "facescrub_uncropped_features_list.json", json.dumps({"path": names}))
    return root


def test_facescrub_is_aligned_at_its_boxes(facescrub, tmp_path, networks, capsys, caplog):
    output = tmp_path / "out"
    align_facescrub.main(argparse.Namespace(input_dir=str(facescrub), output_dir=str(output)))
    names = ["Al_Pacino/Al_Pacino_1.png", "Al_Pacino/Al_Pacino_2.png", "Al_Pacino/Al_Pacino_3.png"]
    names.append("Bo_Derek/Bo_Derek_7.png")
    lines = [f"1\t{output / name}\t{int(name[0] == 'B')}\n" for name in names]
    assert (output / "lst").read_text() == "".join(lines)
    image = read_photo_2018(str(facescrub / "downloaded/Al Pacino/Al Pacino_2.jpg"), False)
    boxes, points = detect_face(image, image.shape[0] // 4, *networks, *LARGE)
    left = int(np.argmin(boxes[:, 0]))
    expected = warp_to_template(image, points[:, left].reshape(2, 5).T)
    assert (output / names[1]).read_bytes() == pixels(expected, ".png")
    assert (cv2.imread(str(output / names[2])) == 90).all()
    printed = capsys.readouterr().out
    assert "3  face found in the photo at the known box" in printed
    assert "1  known box cropped" in printed
    assert "0  face found again around its landmarks" in printed
    assert "2 photos are not in facescrub_uncropped_features_list.json" in caplog.text
    assert "1 photos have no box" in caplog.text


def test_a_second_run_of_facescrub_keeps_the_faces(facescrub, tmp_path, caplog):
    flags = ["--input-dir", str(facescrub), "--output-dir", str(tmp_path / "out")]
    align_facescrub.main([*flags, "--num-workers", "1"])
    before = (tmp_path / "out/lst").read_bytes()
    (facescrub / "downloaded/Bo Derek/Bo Derek_7.jpg").unlink()
    align_facescrub.main([*flags, "--num-workers", "1"])
    assert before.startswith((tmp_path / "out/lst").read_bytes())
    assert "3 of 3 photos were already done" in caplog.text
    assert "1 faces in" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("facescrub_actors.txt", "header\nAl\t0\tx\turl\t1,2,3,4\n", "line 2: expected name"),
        ("facescrub_actors.txt", "header\nAl\t0\t1\turl\t1,2,3\n", r"box '1,2,3'"),
        ("facescrub_actresses.txt", "header\nAl\t0\n", "facescrub_actresses.txt, line 2"),
        ("facescrub_uncropped_features_list.json", "{", "expected a JSON object"),
        ("facescrub_uncropped_features_list.json", '{"path": [1]}', "expected a JSON object"),
    ],
)
def test_damaged_descriptions_of_facescrub_are_named(facescrub, tmp_path, name, content, message):
    (facescrub / name).write_text(content)
    flags = ["--input-dir", str(facescrub), "--output-dir", str(tmp_path / "out")]
    with pytest.raises(InputError, match=message):
        align_facescrub.main(flags)


@pytest.mark.parametrize("name", ["facescrub_actors.txt", "downloaded"])
def test_a_missing_part_of_facescrub_is_named(facescrub, tmp_path, name):
    (facescrub / name).rename(facescrub / "moved")
    flags = ["--input-dir", str(facescrub), "--output-dir", str(tmp_path / "out")]
    with pytest.raises(FileNotFoundError, match=name):
        align_facescrub.main(flags)


# ---------------------------------------------------------------------------------- celeb


@pytest.fixture
def celeb(tmp_path, pictures):
    """A TSV file with photos that the clean list names, does not name, and that are damaged."""
    path = tmp_path / "faces.tsv"
    rows = [("m.b", 0, "face"), ("m.a", 3, "two"), ("m.a", 4, "face"), ("m.a", 5, "nothing")]
    lines = [
        f"{person}\t{number}\turl\tid\t{base64.b64encode(pictures[name]).decode()}\n"
        for person, number, name in rows
    ]
    path.write_text("".join(lines) + "m.b\t9\turl\tid\t!!!!\n\n")
    listed = ["./m.a/3.jpg", "./m.b/0.png", "m.a/5", "./m.b/9.jpg", "other", "./m.a/x.jpg"]
    (tmp_path / "faces.tsv_clean_list.txt").write_text("\n".join(listed) + "\n")
    return path


def test_photos_of_a_tsv_file_are_aligned(celeb, tmp_path, pictures, networks):
    output = tmp_path / "out"
    flags = ["--input-dir", str(celeb), "--output-dir", str(output), "--num-workers", "2"]
    align_celeb.main(flags)
    lines = [f"1\t{output}/m.b/0.jpg\t1\n", f"1\t{output}/m.a/3.jpg\t0\n"]
    assert (output / "faceinsight_align_celeb.lst").read_text() == "".join(lines)
    image = decode_photo(pictures["two"], "two")
    boxes, points = detect_face(image, 100, *networks, *LARGE)
    largest = int(np.argmax(boxes[:, 2] - boxes[:, 0]))
    expected = warp_to_template(image, points[:, largest].reshape(2, 5).T)
    assert (output / "m.a/3.jpg").read_bytes() == pixels(expected, ".jpg")
    skipped = (output / "faceinsight_align_celeb.lst.skipped").read_text().splitlines()
    assert [line.split("\t")[0] for line in skipped] == [f"{celeb}/m.a/5.jpg", f"{celeb}/m.b/9.jpg"]
    assert "no face found" in skipped[0]


@pytest.mark.parametrize("line", ["m.a\n", "m.a\tx\tabcd\n", "m.a\t1\n", "\xff\t1\tabcd\n"])
def test_a_damaged_line_of_a_tsv_file_is_named(celeb, tmp_path, line):
    celeb.write_bytes(celeb.read_bytes() + line.encode("latin-1"))
    with pytest.raises(InputError, match=r"faces.tsv, line 7: expected person, number"):
        align_celeb.main(["--input-dir", str(celeb), "--output-dir", str(tmp_path / "out")])


def test_a_tsv_file_needs_its_clean_list(celeb, tmp_path):
    (tmp_path / "faces.tsv_clean_list.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"faces\.tsv_clean_list.txt is missing"):
        align_celeb.main(["--input-dir", str(celeb), "--output-dir", str(tmp_path / "out")])


# ---------------------------------------------------------------------------------- insight


@pytest.fixture
def unaligned(tmp_path, pictures):
    for name, picture in {"a/1": "face", "a/2": "two", "b/1": "nothing"}.items():
        write(tmp_path / "photos" / f"{name}.jpg", pictures[picture])
    return tmp_path / "photos"


def test_faces_are_listed_with_box_and_landmarks(unaligned, tmp_path, networks):
    output = tmp_path / "out"
    flags = ["--input-dir", str(unaligned), "--name", "lfw", "--output-dir", str(output)]
    align_insight.main([*flags, "--num-workers", "1"])
    path = output / "faceinsight_align_lfw.lst"
    lines = path.read_text().splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["0", str(unaligned / name), label]
        for name, label in [("a/1.jpg", "0"), ("a/2.jpg", "0"), ("b/1.jpg", "1")]
    ]
    assert len(lines[2].split("\t")) == 3
    image = read_photo_2018(str(unaligned / "a/2.jpg"))
    boxes, points = detect_face(image, 20, *networks, [0.6, 0.7, 0.9], 0.85)
    largest = int(np.argmax(boxes[:, 2] - boxes[:, 0]))
    parsed = parse_lst_line(lines[1])
    np.testing.assert_array_equal(parsed.bbox, boxes[largest, :4].astype(int))
    found = np.float32(parsed.landmark)
    np.testing.assert_array_equal(found, points[:, largest].reshape(2, 5).T)
    before = path.read_bytes()
    align_insight.main([*flags, "--num-workers", "1"])
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in output.iterdir() if entry.name[0] != ".") == [
        "faceinsight_align_lfw.lst",
        "faceinsight_align_lfw.lst.journal",
        "faceinsight_align_lfw.lst.skipped",
    ]


def test_the_list_can_be_packed(unaligned, tmp_path):
    output = tmp_path / "out"
    flags = ["--input-dir", str(unaligned), "--name", "webface", "--output-dir", str(output)]
    align_insight.main([*flags, "--force", "0", "--num-workers", "1"])
    lines = (output / "faceinsight_align_webface.lst").read_text()
    assert lines.count("\n") == 2
    write(tmp_path / "set/train.lst", lines)
    write(tmp_path / "set/property", "1,112,112")
    pack([str(tmp_path / "set")])
    assert (tmp_path / "set/train.rec").stat().st_size > 5000


def test_a_known_box_decides_and_is_used_without_a_face(tmp_path, pictures, networks):
    folder = tmp_path / "fgnet" / "a"
    box = {"x": 20, "y": 5, "width": 110, "height": 120}
    for name, picture in {"1": "two", "2": "nothing"}.items():
        write(folder / f"{name}.JPG", pictures[picture])
        write(folder / f"{name}.JPG.json", json.dumps({"bounding_box": box}))
    flags = ["--input-dir", str(tmp_path / "fgnet"), "--name", "fgnet", "--num-workers", "1"]
    align_insight.main([*flags, "--output-dir", str(tmp_path / "out")])
    lines = (tmp_path / "out/faceinsight_align_fgnet.lst").read_text().splitlines()
    first = parse_lst_line(lines[0])
    image = read_photo_2018(str(folder / "1.JPG"), False)
    boxes, points = detect_face(image, 110, *networks, *LARGE)
    left = int(np.argmin(boxes[:, 0]))
    np.testing.assert_array_equal(first.bbox, boxes[left, :4].astype(int))
    np.testing.assert_allclose(first.landmark[:, 0], points[:5, left])
    empty = read_photo_2018(str(folder / "2.JPG"), False)
    forced, _ = detect_face_force(empty, [20, 5, 130, 125], *networks)
    second = parse_lst_line(lines[1])
    np.testing.assert_array_equal(second.bbox, forced[0, :4].astype(int))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--thresholds", "0.6,0.7"], "expected three numbers from 0 to 1"),
        (["--thresholds", "0.6,0.7,2"], "expected three numbers from 0 to 1"),
        (["--thresholds", "0.6,0.7,nan"], "expected three numbers from 0 to 1"),
        (["--factor", "1"], "above 0, up to 0.95"),
        (["--min-size", "0"], "expected a number above 0"),
    ],
)
def test_wrong_detector_settings(flags, message, capsys):
    required = ["--input-dir", "a", "--output-dir", "b", "--name", "lfw"]
    with pytest.raises(SystemExit):
        align_insight.parse_arguments([*required, *flags])
    assert message in capsys.readouterr().err


def test_a_given_setting_wins_over_that_of_the_kind():
    required = ["--input-dir", "a", "--output-dir", "b"]
    defaults = align_insight.parse_arguments([*required, "--name", "lfw"])
    assert (defaults.min_size, defaults.factor) == (20, 0.85)
    given = align_insight.parse_arguments([*required, "--name", "vgg", "--min-size", "50"])
    assert (given.min_size, given.thresholds) == (50, (0.6, 0.7, 0.9))
    other = align_insight.parse_arguments([*required, "--name", "celeb"])
    assert (other.min_size, other.thresholds) == (100, (0.6, 0.7, 0.7))
