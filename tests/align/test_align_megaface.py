"""The command on a folder with every kind of photo, and with files that are not photos."""

import argparse
import io
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from src.align import alignment, planning, stages, styles
from src.align.align_megaface import IOU, main, parse_arguments, to_rgb
from src.align.journal import Key, Outcome
from src.align.ladder import align_photos
from src.align.mtcnn_weights import NPY_FILES, load_weights
from src.align.photo import Photo
from src.align.settings import Settings
from src.common.errors import InputError
from src.common.locks import only_process
from src.formats.photo_sets import get_dataset

JUNK = {
    "p2/empty.jpg": "the file is empty",
    "p2/cut.jpg": "cannot be decoded",
    "p2/notes.txt": "not a photo of a known format",
    "p2/wall.png": "no face of at least 100 pixels found in 300×200 pixels",
    "p2/deeper": "a folder, not a photo",
    "p2/a\tb.jpg": "a name with a tab",
    "p3/x.webp.jpg": "its aligned face would overwrite that of",
}


def encoded(image, form, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, form, **arguments)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photos(tmp_path_factory, portrait):
    """DIR/<person>/<photo>: one face in all formats in p1 and p3, other files in p2 and p3."""
    root = tmp_path_factory.mktemp("planted") / "photos"
    face = Image.fromarray(portrait[:300, 80:380])
    two_faces = Image.fromarray(np.hstack([portrait[:300, 80:380], portrait[:300, 379:79:-1]]))
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored picture has to be rotated clockwise
    grey = np.asarray(face.convert("L"))
    jpeg = encoded(face, "JPEG", quality=95)
    contents = {
        "p1/colour.jpg": jpeg,
        "p1/grey.jpg": encoded(face.convert("L"), "JPEG"),
        "p1/grey and alpha.png": encoded(face.convert("LA"), "PNG"),
        "p1/rgba.png": encoded(face.convert("RGBA"), "PNG"),
        "p1/cmyk.jpg": encoded(face.convert("CMYK"), "JPEG"),
        "p1/deep.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "p1/turned.jpg": encoded(face.rotate(90), "JPEG", exif=exif),
        "p1/two.bmp": encoded(two_faces, "BMP"),
        "p3 'q' \"d\"/照片 1.jpeg": jpeg,
        "p3/x.webp": encoded(face, "WEBP", quality=95),
        "p3/x.webp.jpg": jpeg,
        "p2/empty.jpg": b"",
        "p2/cut.jpg": jpeg[: len(jpeg) // 2],
        "p2/notes.txt": b"about these photos",
        "p2/wall.png": encoded(Image.new("RGB", (300, 200), (90, 120, 90)), "PNG"),
        "p2/a\tb.jpg": jpeg,
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "p2/deeper").mkdir()
    (root / "p4").mkdir()
    return root


def run(photos, output, *more):
    main(["--input-dir", str(photos), "--name", "webface", "--output-dir", str(output), *more])
    return (output / "lst").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def aligned(photos, tmp_path_factory):
    """Output folder of one run over all photos, in this process."""
    output = tmp_path_factory.mktemp("aligned") / "out"
    run(photos, output, "--num-workers", "1")
    return output


def test_every_kind_of_photo_is_aligned(aligned, photos):
    lines = [line.split("\t") for line in (aligned / "lst").read_text("utf-8").splitlines()]
    names = [path.removeprefix(f"{aligned}/photos/") for _, path, _ in lines]
    assert names == [
        "p1/cmyk.jpg", "p1/colour.jpg", "p1/deep.png", "p1/grey and alpha.png", "p1/grey.jpg",
        "p1/rgba.png", "p1/turned.jpg", "p1/two.bmp", "p3/x.webp.jpg",
        "p3 'q' \"d\"/照片 1.jpeg",
    ]  # fmt: skip
    assert [label for *_, label in lines] == ["0"] * 8 + ["2", "3"]
    reference = cv2.imread(str(aligned / "photos/p1/colour.jpg"), cv2.IMREAD_GRAYSCALE)
    assert reference.shape == (112, 112)
    for flag, path, _ in lines:
        assert flag == "1"
        content = np.frombuffer((aligned / path).read_bytes(), np.uint8)
        face = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert face.shape == (112, 112, 3)
        if "two" not in path:  # its first face may be the other one
            grey = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY).astype(float)
            assert np.corrcoef(grey.ravel(), reference.ravel())[0, 1] > 0.9, path


def test_colours_are_kept(aligned):
    face = cv2.imread(str(aligned / "photos/p1/colour.jpg")).astype(float).mean(axis=(0, 1))
    blue, green, red = face
    assert red > green > blue, "skin"


def test_skipped_photos_are_listed_with_their_reasons(aligned, photos):
    text = (aligned / "lst.skipped").read_text("utf-8")
    for name, reason in JUNK.items():
        escaped = name.replace("\t", "\\t")
        assert f"{photos}/{escaped}\t{reason}" in text
    assert [line.count("\t") for line in text.splitlines()] == [1] * len(JUNK)


def test_summary(photos, tmp_path, capsys):
    run(photos, tmp_path / "out", "--num-workers", "1")
    out = capsys.readouterr().out
    assert "dataset size webface 17\n" in out
    assert "Processing 0, ([0 0 0 0 0])" in out
    assert "aligned 10 of 17 photos\n" in out
    assert "      10  face found again around its landmarks\n" in out
    assert f"skipped 7 of 17: list in {tmp_path}/out/lst.skipped\n" in out


def test_any_number_of_workers_gives_the_same(photos, aligned, tmp_path):
    lines = run(photos, tmp_path / "out", "--num-workers", "2")
    expected = (aligned / "lst").read_text("utf-8").splitlines()
    assert [line.replace(f"{tmp_path}/out", str(aligned)) for line in lines] == expected
    for line in expected:
        path = line.split("\t")[1].removeprefix(str(aligned) + "/")
        assert (tmp_path / "out" / path).read_bytes() == (aligned / path).read_bytes()


@pytest.mark.parametrize(("group", "batch"), [(1, 16), (3, 2), (64, 1)])
def test_any_size_of_groups_gives_the_same(photos, aligned, tmp_path, monkeypatch, group, batch):
    monkeypatch.setattr(alignment, "GROUP_PHOTOS", group)
    monkeypatch.setattr(stages, "BATCH_PHOTOS", batch)
    run(photos, tmp_path / "out", "--num-workers", "1")
    assert faces_in(tmp_path / "out") == faces_in(aligned)
    for name in faces_in(aligned):
        assert (tmp_path / "out" / name).read_bytes() == (aligned / name).read_bytes()


class Interrupted(Exception):
    pass


def test_a_stopped_run_resumes(photos, aligned, tmp_path, monkeypatch, capsys):
    done, limit = [], 6

    def stops_midway(jobs, **arguments):
        if len(done) >= limit:
            raise Interrupted
        done.extend(job.key.name for job in jobs)
        return original(jobs, **arguments)

    original = alignment.align_group
    monkeypatch.setattr(alignment, "align_group", stops_midway)
    monkeypatch.setattr(alignment, "GROUP_PHOTOS", 3)
    output = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(photos, output, "--num-workers", "1")
    assert not (output / "lst").exists()
    limit = 100
    capsys.readouterr()
    lines = run(photos, output, "--num-workers", "1")
    assert len(done) == len(set(done)) == 15, "each photo once"
    expected = (aligned / "lst").read_text("utf-8").replace(str(aligned), str(output))
    assert lines == expected.splitlines()
    assert "aligned 10 of 17 photos\n" in capsys.readouterr().out
    # A third run only retries photos that could not be read.
    done.clear()
    assert run(photos, output, "--num-workers", "1") == lines
    assert sorted(name.split("/")[-1] for name in done) == [
        "cut.jpg", "deeper.jpg", "empty.jpg", "notes.txt.jpg",
    ]  # fmt: skip
    # For another size, a replaced photo or a deleted face, photos are aligned again.
    done.clear()
    (output / "photos/p1/grey.jpg").unlink()
    run(photos, output, "--num-workers", "1")
    assert "photos/p1/grey.jpg" in done
    done.clear()
    run(photos, output, "--num-workers", "1", "--image-size", "112,96")
    assert len(done) == 15
    assert cv2.imread(str(output / "photos/p1/grey.jpg")).shape == (112, 96, 3)


def test_a_photo_that_is_now_skipped_loses_its_old_face(tmp_path, portrait):
    photo = tmp_path / "photos/p/a.png"
    photo.parent.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.fromarray(portrait).save(photo.with_name(name))
    assert len(run(tmp_path / "photos", tmp_path / "out", "--num-workers", "1")) == 2
    Image.new("RGB", (300, 300)).save(photo)
    assert len(run(tmp_path / "photos", tmp_path / "out", "--num-workers", "1")) == 1
    assert [path.name for path in (tmp_path / "out/photos/p").iterdir()] == ["b.png"]


def test_keep_undetected_crops_the_centre(photos, tmp_path, capsys):
    lines = run(photos, tmp_path / "out", "--num-workers", "1", "--keep-undetected")
    assert any("wall.png" in line for line in lines)
    assert "       1  centre cropped" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "out/photos/p2/wall.png")).shape == (112, 112, 3)


def test_known_landmarks_refer_to_the_photo_before_its_exif_rotation(tmp_path, portrait, detector):
    exif = Image.Exif()
    exif[0x0112] = 3
    face = portrait[:300, 80:380]
    folder = tmp_path / "mega/g/p"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(Image.fromarray(face), "JPEG", exif=exif, quality=95))
    (found,) = detector.find([face], [100])
    x1, y1, x2, y2 = map(float, found.boxes[0, :4])
    eyes_and_nose = found.points[[0, 1, 2, 5, 6, 7], 0].reshape(2, 3).T.tolist()
    corners = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    marks = {key: {"x": x, "y": y} for key, (x, y) in zip("102", eyes_and_nose, strict=True)}
    (folder / "a.jpg.json").write_text(json.dumps({"bounding_box": corners, "landmarks": marks}))
    out = tmp_path / "out"
    main(["--input-dir", str(tmp_path / "mega"), "--name", "megaface", "--output-dir", str(out)])
    assert (out / "lst").read_text() == f"1\t{out}/g/p/a.jpg\t0\n"
    expected = Photo(face)
    align_photos([expected], detector)
    assert expected.way == 0
    written = cv2.imread(str(out / "g/p/a.jpg"))[..., ::-1]
    assert np.corrcoef(written.ravel(), expected.face.ravel())[0, 1] > 0.95


def test_weights_from_a_folder(photos, aligned, tmp_path):
    for name, layers in load_weights().items():
        np.save(tmp_path / NPY_FILES[name], np.array(layers, dtype=object))
    lines = run(photos, tmp_path / "out", "--num-workers", "1", "--det-model", str(tmp_path))
    assert len(lines) == 10
    one = "photos/p1/colour.jpg"
    assert (tmp_path / "out" / one).read_bytes() == (aligned / one).read_bytes()


# ---------------------------------------------------------------------------------- errors


def test_no_aligned_photo_is_an_error(tmp_path):
    (tmp_path / "photos/p").mkdir(parents=True)
    (tmp_path / "photos/p/a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 1 photos could be aligned.*lst\.skipped"):
        run(tmp_path / "photos", tmp_path / "out", "--num-workers", "1")
    assert "the file is empty" in (tmp_path / "out/lst.skipped").read_text()


def test_no_photo_is_an_error(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no photos where webface photos are expected"):
        run(tmp_path / "photos", tmp_path / "out")


def test_missing_input_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder of photos"):
        run(tmp_path / "photos", tmp_path / "out")


def test_the_output_folder_must_not_overlap_with_the_photos(photos):
    with pytest.raises(InputError, match="lies within --input-dir"):
        run(photos, photos / "aligned")
    with pytest.raises(InputError, match="would be overwritten"):
        run(photos, photos.parent)


def test_missing_weights_are_reported_before_any_photo_is_read(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"det1\.npy is missing"):
        run(photos, tmp_path / "out", "--det-model", str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name", "webface", "--output-dir", "o"], "--input-dir"),
        (["--input-dir", "i", "--output-dir", "o", "--name", "imagenet"], "invalid choice"),
        (["--input-dir", "i", "--output-dir", "o"], "--name"),
        (
            ["--input-dir", "i", "--output-dir", "o", "--name", "lfw", "--num-workers", "0"],
            "at least 1",
        ),
    ],
)
def test_wrong_flags(flags, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(flags)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_a_2018_namespace_works(tmp_path, portrait):
    folder = tmp_path / "photos/p"
    folder.mkdir(parents=True)
    Image.fromarray(portrait[:300, 80:380]).save(folder / "a.jpg")
    main(
        argparse.Namespace(
            input_dir=str(tmp_path / "photos"), name="lfw", output_dir=str(tmp_path / "out")
        )
    )
    assert (tmp_path / "out/photos/p/a.jpg").exists()


class Rejecting:
    """A Detector that fails on photos 300 pixels high."""

    def __init__(self, detector):
        self.detector = detector

    def find(self, images, smallest):
        if any(len(image) == 300 for image in images):
            cv2.resize(images[0], (0, 0))
        return self.detector.find(images, smallest)

    def force(self, images, boxes):
        return self.detector.force(images, boxes)


def test_a_rejected_photo_does_not_stop_its_group_or_the_run(
    tmp_path, portrait, monkeypatch, detector
):
    pictures = {"a.png": portrait, "b.png": portrait[:300], "d.png": portrait}
    jobs = []
    for name in ("a.png", "b.png", "c.png", "d.png"):
        path = tmp_path / name
        if name in pictures:
            Image.fromarray(pictures[name]).save(path)
        key = Key(name, "", "")
        jobs.append(planning.Job(str(path), str(tmp_path / f"out/{name}"), None, None, key))
    monkeypatch.setattr(stages, "_detector", lambda *_: Rejecting(detector))
    first, rejected, missing, last = stages.align_group(jobs, Settings())
    assert first == last == Outcome(0, "", found=first.found)
    assert rejected.reason.startswith("OpenCV rejects it")
    assert rejected.final
    assert missing == Outcome(None, "there is no such file", final=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "d.png"]


def test_groups_are_limited_in_photos_and_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(alignment, "GROUP_PHOTOS", 3)
    monkeypatch.setattr(alignment, "GROUP_BYTES", 100)
    sizes = [10, 10, 10, 10, 95, 300, 1, 99, 1, *[1] * 8]
    folder = tmp_path / "set" / "p"
    folder.mkdir(parents=True)
    for number, size in enumerate(sizes):
        (folder / f"{number:02d}.jpg").write_bytes(bytes(size))
    groups = []

    def align(jobs, **_):
        groups.append([job.size for job in jobs])
        return [Outcome(None, "no photo") for _ in jobs]

    monkeypatch.setattr(alignment, "align_group", align)
    with pytest.raises(InputError, match="none of the 17 photos"):
        run(tmp_path / "set", tmp_path / "out", "--num-workers", "1")
    assert groups == [[10, 10, 10], [10, 95], [300], [1, 99, 1], [1, 1, 1], [1, 1, 1], [1, 1]]


def test_set_and_person_are_the_folders_above_the_photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lfw/p").mkdir(parents=True)
    (tmp_path / "lfw/p/a.gif").write_bytes(b"")
    monkeypatch.chdir(tmp_path / "lfw")
    item = get_dataset("lfw", ".")[0]
    assert styles.face_name(item.image_path) == "lfw/p/a.gif.jpg"


def test_2018_functions():
    assert IOU([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(1 / 3)
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert to_rgb(grey).shape == (2, 3, 3)
    np.testing.assert_array_equal(to_rgb(grey)[..., 2], grey)


def test_few_decoded_photos_are_in_memory_at_once(tmp_path, portrait, monkeypatch):
    """However small their files are."""
    jobs = []
    for number in range(7):
        path = tmp_path / f"{number}.png"
        Image.fromarray(portrait).save(path)
        key = Key(path.name, "", "")
        jobs.append(planning.Job(str(path), str(tmp_path / "out" / path.name), None, None, key))
    jobs[3] = jobs[3]._replace(photo=str(tmp_path / "missing.png"))
    together = []

    def align(photos, *_):
        together.append(len(photos))
        for photo in photos:
            photo.face, photo.way = photo.image[:112, :112], 0

    monkeypatch.setattr(styles, "align_photos", align)
    monkeypatch.setattr(stages, "BATCH_BYTES", 2 * portrait.nbytes - 1)
    outcomes = stages.align_group(jobs, Settings())
    assert together == [2, 2, 2]
    assert [outcome.way for outcome in outcomes] == [0, 0, 0, None, 0, 0, 0]
    assert outcomes[3] == Outcome(None, "there is no such file", final=False)


def test_an_old_face_stays_until_its_photo_is_done(tmp_path, portrait, monkeypatch):
    photo, target = tmp_path / "a.png", tmp_path / "out.png"
    Image.fromarray(portrait).save(photo)
    target.write_bytes(b"old")
    job = planning.Job(str(photo), str(target), None, None, Key("a", "", ""))

    def crash(*_):
        assert target.read_bytes() == b"old"
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(styles, "align_photos", crash)
        with pytest.raises(Interrupted):
            stages.align_group([job], Settings())
    assert target.read_bytes() == b"old"
    (outcome,) = stages.align_group([job], Settings())
    assert outcome[:3] == Outcome(0, "")[:3]
    assert cv2.imread(str(target)).shape == (112, 112, 3)


# ------------------------------------------------------------------------- changed sources


@pytest.fixture
def few(tmp_path, portrait):
    """DIR/photos with three photos of two people."""
    face = encoded(Image.fromarray(portrait[:300, 80:380]), "JPEG")
    for name in ("a/1.jpg", "a/2.gif", "b/1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(face)
    return tmp_path / "photos"


def faces_in(output):
    return sorted(str(path.relative_to(output)) for path in output.rglob("*/*.jpg"))


def test_the_faces_of_deleted_and_moved_photos_are_removed(few, tmp_path, caplog):
    output = tmp_path / "out"
    run(few, output, "--num-workers", "1")
    assert len(faces_in(output)) == 3
    (few / "b" / "1.jpg").rename(few / "a" / "3.jpg")
    (few / "b").rmdir()
    (few / "a" / "2.gif").unlink()
    lines = run(few, output, "--num-workers", "1")
    assert faces_in(output) == ["photos/a/1.jpg", "photos/a/3.jpg"]
    assert [line.split("\t")[1] for line in lines] == [
        str(output / name) for name in faces_in(output)
    ]
    assert "2 photos no longer exist; their faces are removed: photos/a/2.gif.jpg," in caplog.text
    assert not (output / "photos" / "b").exists()


def test_faces_of_photos_that_are_only_not_listed_are_reported(few, tmp_path, caplog):
    """And a face that no run has written is never touched."""
    output = tmp_path / "out"
    run(few, output, "--num-workers", "1")
    (output / "photos" / "b" / "own.jpg").write_bytes(b"not of any run")
    (few / "b" / "1.jpg").unlink()
    os.mkfifo(few / "b" / "1.jpg")
    run(few, output, "--num-workers", "1")
    assert "1 faces in" in caplog.text
    assert "are not of this data set, although their photos exist" in caplog.text
    (few / "b" / "1.jpg").unlink()
    run(few, output, "--num-workers", "1")
    assert [name for name in faces_in(output) if "/b/" in name] == ["photos/b/own.jpg"]


def test_a_second_set_is_refused_or_kept_apart(few, tmp_path):
    other = tmp_path / "elsewhere" / "photos"
    shutil.copytree(few, other)
    output = tmp_path / "out"
    first = run(few, output, "--num-workers", "1")
    with pytest.raises(InputError, match=r"out belongs to .*photos, and --input-dir .*--add"):
        run(other, output, "--num-workers", "1")
    run(other, output, "--num-workers", "1", "--add")
    assert (output / "lst").read_text().splitlines() == first
    second = (output / "lst-2").read_text().replace("/photos-2/", "/photos/").splitlines()
    assert second == first
    assert len(faces_in(output)) == 6
    (other / "b" / "1.jpg").unlink()
    run(other, output, "--num-workers", "1")
    assert [name for name in faces_in(output) if "/b/" in name] == ["photos/b/1.jpg"]


def test_two_runs_at_once_are_refused(few, tmp_path):
    with (
        only_process(str(tmp_path / "out" / ".lock"), "x"),
        pytest.raises(InputError, match=r"--output-dir .*out is being written by another run"),
    ):
        run(few, tmp_path / "out")


@pytest.mark.parametrize("length", [249, 251, 255])
def test_a_legal_name_of_any_length_is_aligned(few, tmp_path, length):
    for extension in (".jpg", ".gif", ""):
        name = "x" * (length - len(extension)) + extension
        shutil.copy(few / "b" / "1.jpg", few / "b" / name)
    assert len(run(few, tmp_path / "out", "--num-workers", "1")) == 6


def test_a_set_with_the_name_of_the_list_is_refused(few, tmp_path):
    few.rename(tmp_path / "lst")
    with pytest.raises(InputError, match=r"take the place of .*out/lst, a file of this step"):
        run(tmp_path / "lst", tmp_path / "out")


def test_pipes_among_the_photos_are_never_opened(few, tmp_path, caplog):
    os.mkfifo(few / "a" / "pipe.jpg")
    assert len(run(few, tmp_path / "out", "--num-workers", "1")) == 3
    assert "no ordinary files (pipes, devices, broken links) are skipped: a/pipe.jpg" in caplog.text


def test_a_photo_that_the_list_names_twice_is_aligned(few, tmp_path):
    name = next(few.rglob("*.jpg"))
    person = tmp_path / "celeb" / "m.1"
    person.mkdir(parents=True)
    shutil.copy(name, person / "1.jpg")
    (tmp_path / "celeb_clean_list.txt").write_text("./m.1/1.jpg\n./m.1/1.jpg\n")
    flags = ["--input-dir", str(tmp_path / "celeb"), "--name", "celeb", "--num-workers", "1"]
    main([*flags, "--output-dir", str(tmp_path / "out")])
    line = f"1\t{tmp_path}/out/celeb/m.1/1.jpg\t0\n"
    assert (tmp_path / "out" / "lst").read_text() == line * 2
