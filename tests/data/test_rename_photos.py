"""Photos of any format and name become RGB .jpg with plain names; others are reported."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.common.errors import InputError
from src.common.locks import only_process
from src.data import rename_photos as rename_module
from src.data.name_table import NameTable, plain_name
from src.data.rename_photos import main, rename_photos

RANDOM = np.random.RandomState(0)
# Smooth, so that JPEG keeps it: 20 high, 30 wide.
PIXELS = np.linspace(0, 255, 20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)


def save_photo(path, mode="RGB", **options):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(PIXELS).convert(mode).save(path, **options)


def read_table(folder, name="names.tsv"):
    """Rows of old name, new name and state; the stamp of the source is left out."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return [line.split("\t")[:3] for line in file.read().splitlines()]


@pytest.fixture
def photos(tmp_path):
    return str(tmp_path / "photos")


@pytest.fixture
def output(tmp_path):
    return str(tmp_path / "jpg")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "CMYK", "1", "I;16"])
def test_every_kind_of_picture_becomes_rgb_jpeg(photos, output, mode):
    name = f"{photos}/张三/照片 'a' \"b\".tif"
    if mode == "I;16":
        os.makedirs(os.path.dirname(name))
        Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(name)
    else:
        save_photo(name, mode)
    assert rename_photos(photos, output) == (1, 0, [])
    with Image.open(f"{output}/0000001/0001.jpg") as made:
        assert (made.format, made.mode, made.size) == ("JPEG", "RGB", (30, 20))
        # Grey and palette photos keep their brightness, up to the conversion.
        if mode != "1":
            difference = np.asarray(made).mean() - PIXELS.mean()
            assert abs(difference) < 4
    assert read_table(output) == [
        ["old", "new", "state"],
        ["张三/照片 'a' \"b\".tif", "0000001/0001.jpg", "done"],
    ]


def test_the_exif_orientation_is_applied(photos, output):
    os.makedirs(f"{photos}/a")
    picture = Image.fromarray(PIXELS)
    exif = picture.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees
    picture.save(f"{photos}/a/b.jpg", exif=exif)
    rename_photos(photos, output)
    with Image.open(f"{output}/0000001/0001.jpg") as made:
        assert made.size == (20, 30)
        assert made.getexif().get(0x0112) is None


def test_an_upright_rgb_jpeg_is_copied(photos, output):
    save_photo(f"{photos}/a/b.JPEG", quality=30, format="JPEG")
    rename_photos(photos, output)
    made = Path(output, "0000001", "0001.jpg")
    assert made.read_bytes() == Path(photos, "a", "b.JPEG").read_bytes()


def test_bad_files_are_reported_and_the_rest_is_converted(photos, output, caplog, capsys):
    noise = RANDOM.randint(0, 255, (200, 200, 3), np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, "JPEG")
    save_photo(f"{photos}/a/good.png")
    for name, content in [
        ("a/cut.jpg", whole.getvalue()[:3000]),
        ("a/empty.jpg", b""),
        ("b/notes.txt", b"not a photo"),
        ("loose.jpg", b"x"),
    ]:
        os.makedirs(os.path.dirname(f"{photos}/{name}"), exist_ok=True)
        with open(f"{photos}/{name}", "wb") as file:
            file.write(content)
    os.makedirs(f"{photos}/nobody")
    assert main(["--input-dir", photos, "--output-dir", output, "--num-workers", "1"]) is None
    assert "1 photos converted, 0 already done, 3 files skipped" in capsys.readouterr().out
    for text in (
        "cut.jpg: cannot be decoded", "empty.jpg: the file is empty", "notes.txt: not a photo",
        "1 files next to the person folders are skipped: loose.jpg",
        "1 person folders are empty: nobody", "1 people have no readable photo: b",
    ):  # fmt: skip
        assert text in caplog.text
    states = [row[2].split(":")[0] for row in read_table(output)[1:]]
    assert states == ["skipped", "skipped", "done", "skipped"]
    # The number of a bad photo stays reserved, in case it is replaced by a good copy.
    assert sorted(os.listdir(output)) == [".sources.json", "0000001", "names.tsv"]
    assert os.listdir(f"{output}/0000001") == ["0003.jpg"]


def test_a_second_run_continues_with_the_same_names(photos, output):
    save_photo(f"{photos}/b/1.png")
    rename_photos(photos, output)
    save_photo(f"{photos}/a/1.png")
    save_photo(f"{photos}/b/0.png")
    assert rename_photos(photos, output) == (2, 1, [])
    names = {old: new for old, new, _ in read_table(output)[1:]}
    assert names == {
        "b/1.png": "0000001/0001.jpg", "b/0.png": "0000001/0002.jpg", "a/1.png": "0000002/0001.jpg",
    }  # fmt: skip
    assert rename_photos(photos, output) == (0, 3, [])
    os.remove(f"{output}/0000001/0001.jpg")
    assert rename_photos(photos, output) == (1, 2, [])


def test_a_changed_photo_is_converted_again(photos, output):
    save_photo(f"{photos}/a/1.png")
    rename_photos(photos, output)
    made = os.path.getmtime(f"{output}/0000001/0001.jpg")
    os.utime(f"{photos}/a/1.png", (made + 9, made + 9))
    assert rename_photos(photos, output) == (1, 0, [])


def test_the_copy_of_a_photo_that_is_now_damaged_is_removed(photos, output):
    for name in ("1", "2"):
        save_photo(f"{photos}/a/{name}.png")
    rename_photos(photos, output)
    made = os.path.getmtime(f"{output}/0000001/0001.jpg")
    Path(photos, "a", "1.png").write_bytes(b"damaged")
    os.utime(f"{photos}/a/1.png", (made + 9, made + 9))
    assert rename_photos(photos, output) == (0, 1, ["a/1.png"])
    assert os.listdir(f"{output}/0000001") == ["0002.jpg"]


def test_workers_give_the_same_files(photos, tmp_path):
    for number in range(120):
        save_photo(f"{photos}/{number % 7}/{number}.png")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert rename_photos(photos, one) == rename_photos(photos, two, workers=2) == (120, 0, [])
    assert read_table(one) == read_table(two)


def test_names_that_are_not_utf8_or_contain_tabs_are_kept(photos, output):
    os.makedirs(f"{photos}/a")
    odd = os.fsencode(photos) + b"/a/\xff\tb\\n\n.png"
    with open(odd, "wb") as file:
        Image.fromarray(PIXELS).save(file, "PNG")
    rename_photos(photos, output)
    table = NameTable.read(f"{output}/names.tsv")
    assert table.new_name(os.fsdecode(b"a/\xff\tb\\n\n.png")) == "0000001/0001.jpg"
    assert rename_photos(photos, output) == (0, 1, [])


def test_plain_names_are_kept_on_request(photos, output):
    for name in ("José García/a.png", "José García/A.jpg", "李四/1.png"):
        save_photo(f"{photos}/{name}")
    rename_photos(photos, output, keep_names=True)
    assert {old: new for old, new, _ in read_table(output)[1:]} == {
        "José García/A.jpg": "Jose_Garcia/A.jpg",
        "José García/a.png": "Jose_Garcia/0002.jpg",  # A.jpg is taken if case is ignored
        "李四/1.png": "0000002/1.jpg",
    }


@pytest.mark.parametrize(
    ("name", "plain"),
    [("Abdullah_Gul", "Abdullah_Gul"), ("O'Neil \"x\"", "O_Neil_x"), ("Zoë", "Zoe"),
     ("张三", None), ("...", None), ("", None)],
)  # fmt: skip
def test_plain_name(name, plain):
    assert plain_name(name) == plain


def test_wrong_folders_are_errors(photos, output, tmp_path):
    with pytest.raises(FileNotFoundError):
        rename_photos(photos, output)
    os.makedirs(photos)
    with pytest.raises(InputError, match=r"no person folders; expected .*/<person>/<photo>"):
        rename_photos(photos, output)
    os.makedirs(f"{photos}/a")
    with pytest.raises(InputError, match="none of 0 files is a readable photo"):
        rename_photos(photos, output)
    for inside in (photos, f"{photos}/jpg"):
        with pytest.raises(InputError, match="is inside --input-dir"):
            rename_photos(photos, inside)
    os.makedirs(output, exist_ok=True)
    for text, message in [("x\n", "line 1: expected the heading"),
                          ("old\tnew\tstate\na\n", "line 2: expected 3 fields")]:  # fmt: skip
        with open(f"{output}/names.tsv", "w", encoding="utf-8") as file:
            file.write(text)
        with pytest.raises(InputError, match=message):
            rename_photos(photos, output)


# ------------------------------------------------------------------------- changed sources


def made(output):
    return sorted(
        os.path.relpath(path, output) for path in Path(output).rglob("*") if path.suffix == ".jpg"
    )


def test_the_copies_of_deleted_and_moved_photos_are_removed(photos, output, caplog):
    for name in ("a/1", "a/2", "b/1", "c/1"):
        save_photo(f"{photos}/{name}.png")
    rename_photos(photos, output)
    os.remove(f"{photos}/a/1.png")
    os.rename(f"{photos}/b/1.png", f"{photos}/c/from b.png")
    os.rmdir(f"{photos}/b")
    assert rename_photos(photos, output) == (1, 2, [])
    assert made(output) == ["0000001/0002.jpg", "0000003/0001.jpg", "0000003/0002.jpg"]
    assert "2 photos are no longer in" in caplog.text
    assert "a/1.png, b/1.png" in caplog.text
    assert [old for old, *_ in read_table(output)[1:]] == ["a/2.png", "c/1.png", "c/from b.png"]
    assert not os.path.exists(f"{output}/0000002")


def test_a_photo_replaced_by_an_older_one_is_converted_again(photos, output):
    save_photo(f"{photos}/a/1.png")
    rename_photos(photos, output)
    before = Path(output, "0000001/0001.jpg").read_bytes()
    Image.fromarray(255 - PIXELS).save(f"{photos}/a/1.png")
    os.utime(f"{photos}/a/1.png", (1_000_000_000, 1_000_000_000))
    assert rename_photos(photos, output) == (1, 0, [])
    assert Path(output, "0000001/0001.jpg").read_bytes() != before
    assert rename_photos(photos, output) == (0, 1, [])


def test_copies_in_a_folder_that_cannot_be_read_now_are_kept(photos, output, monkeypatch):
    for name in ("a/1", "b/1"):
        save_photo(f"{photos}/{name}.png")
    rename_photos(photos, output)
    scandir, lstat = os.scandir, os.lstat

    def forbidden(function):
        def call(path, *more, **options):
            if os.path.relpath(path, photos).split(os.sep)[0] == "b":
                raise PermissionError(13, "Permission denied", path)
            return function(path, *more, **options)

        return call

    monkeypatch.setattr(os, "scandir", forbidden(scandir))
    monkeypatch.setattr(os, "lstat", forbidden(lstat))
    assert rename_photos(photos, output) == (0, 1, [])
    monkeypatch.undo()
    assert made(output) == ["0000001/0001.jpg", "0000002/0001.jpg"]
    assert rename_photos(photos, output) == (0, 2, [])


@pytest.mark.parametrize("content", [b"", bytes(2000)])
def test_a_copy_that_a_power_failure_left_empty_is_made_again(photos, output, content):
    save_photo(f"{photos}/a/1.png")
    rename_photos(photos, output)
    path = Path(output, "0000001/0001.jpg")
    whole = path.read_bytes()
    path.write_bytes(content)
    assert rename_photos(photos, output) == (1, 0, [])
    assert path.read_bytes() == whole


def test_a_killed_run_is_resumed_where_it_was(photos, output, monkeypatch):
    for number in range(8):
        save_photo(f"{photos}/a/{number}.png")
    calls = []

    def die_at_the_sixth(task, **options):
        calls.append(task[0])
        if len(calls) == 6:
            raise KeyboardInterrupt
        return convert(task, **options)

    convert = rename_module._convert
    monkeypatch.setattr(rename_module, "_convert", die_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        rename_photos(photos, output)
    assert len(made(output)) == 5
    monkeypatch.undo()
    assert rename_photos(photos, output) == (3, 5, [])
    assert [state for *_, state in read_table(output)[1:]] == ["done"] * 8


def test_a_table_of_version_1_1_is_understood(photos, output):
    for name in ("a/1", "a/2"):
        save_photo(f"{photos}/{name}.png")
    rename_photos(photos, output)
    rows = ["\t".join(row) for row in read_table(output)]
    Path(output, "names.tsv").write_text("\n".join(rows) + "\n")
    Path(output, ".sources.json").unlink()
    os.utime(f"{photos}/a/2.png", (4_000_000_000, 4_000_000_000))
    assert rename_photos(photos, output) == (1, 1, [])


def test_a_second_set_is_refused_or_kept_apart(photos, output, tmp_path):
    other = str(tmp_path / "other" / "photos")
    for root, people in ((photos, "ab"), (other, "ac")):
        for person in people:
            save_photo(f"{root}/{person}/1.png")
    rename_photos(photos, output)
    with pytest.raises(InputError, match=r"jpg belongs to .*/photos, and --input-dir .*--add"):
        rename_photos(other, output)
    assert rename_photos(other, output, add=True) == (2, 0, [])
    save_photo(f"{photos}/d/1.png")
    assert rename_photos(photos, output) == (1, 2, [])
    assert rename_photos(other, output) == (0, 2, [])
    new_names = [new for name in ("names.tsv", "names-2.tsv") for _, new, _ in
                 read_table(output, name)[1:]]  # fmt: skip
    assert new_names == [f"000000{person}/0001.jpg" for person in (1, 2, 5, 3, 4)]
    assert made(output) == sorted(new_names)


def test_moving_photos_and_copies_together_changes_nothing(tmp_path):
    save_photo(f"{tmp_path}/work/photos/a/1.png")
    rename_photos(f"{tmp_path}/work/photos", f"{tmp_path}/work/jpg")
    os.rename(tmp_path / "work", tmp_path / "moved")
    assert rename_photos(f"{tmp_path}/moved/photos", f"{tmp_path}/moved/jpg") == (0, 1, [])


def test_a_person_with_the_name_of_the_table_gets_a_number(photos, output):
    save_photo(f"{photos}/names.tsv/1.png")
    assert rename_photos(photos, output, keep_names=True) == (1, 0, [])
    assert made(output) == ["0000001/1.jpg"]


def test_a_name_of_255_bytes_is_converted(photos, output):
    save_photo(f"{photos}/a/{'x' * 251}.png")
    assert rename_photos(photos, output, keep_names=True) == (1, 0, [])
    assert made(output) == ["a/0001.jpg"]


def test_two_runs_at_once_are_refused(photos, output):
    save_photo(f"{photos}/a/1.png")
    with (
        only_process(f"{output}/.lock", "x"),
        pytest.raises(InputError, match=r"--output-dir .*jpg is being written by another run"),
    ):
        rename_photos(photos, output)
