"""Data sets are inspected, rebuilt and unpacked."""

import re
import shutil
from pathlib import Path

import pytest

from src.common.errors import InputError
from src.data import dataset_info, face2rec2, glint2lst, lfw2pack
from src.formats.face_layout import open_face_records
from src.formats.property import load_property
from src.formats.records import RecordReader, RecordWriter
from src.formats.verification_set import read_bin, write_bin

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


def write_plain(folder, items):
    """A plain im2rec file: scalar labels, records from 0."""
    folder.mkdir()
    with RecordWriter(folder / "train.rec") as writer:
        for index, (label, content) in enumerate(items):
            writer.write(index, label, content)


def test_a_valid_set_is_described(make_set, capsys):
    folder = make_set("set", COLOURS, images=3)
    assert dataset_info.main([folder, "--decode"]) == 0
    out = capsys.readouterr().out
    for text in (
        "face data set",
        "9 images of 3 identities, 4 other records",
        "images per identity: 3 to 3, median 3",
        "first image: 16×16",
        "property: 3,16,16",
    ):
        assert text in out
    assert "PROBLEM" not in out


def damage_index(folder):
    (folder / "train.idx").write_text("1\t0\n2\t44\n")


def remove_index(folder):
    (folder / "train.idx").unlink()


def garble_index(folder):
    (folder / "train.idx").write_text("rubbish")


def remove_header(folder):
    lines = (folder / "train.idx").read_text().splitlines(keepends=True)
    (folder / "train.idx").write_text("".join(line for line in lines if line[:2] != "0\t"))


def remove_property(folder):
    (folder / "property").unlink()


def wrong_property(folder):
    (folder / "property").write_text("85742,16,16")


def other_size(folder):
    (folder / "property").write_text("3,112,112")


def cut_records(folder):
    path = folder / "train.rec"
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (
            damage_index,
            [r"train\.idx has no offset, or a wrong one, for \d of 6 images", "headerless"],
        ),
        (remove_index, ["the index of the records is missing"]),
        (garble_index, ["is not an index"]),
        (remove_header, ["headerless: it has no record 0", "--rebuild"]),
        (remove_property, ["property is missing", "write this line to .*property: 3,16,16"]),
        (
            wrong_property,
            ["property gives 85742 classes, but the records have 3", "property: 3,16,16"],
        ),
        (other_size, ["property gives images of 112×112, but the first is 16×16"]),
        (cut_records, ["1 damaged records, the first at byte", "record 0 is damaged"]),
    ],
)
def test_problems_are_printed_with_their_remedy(make_set, capsys, spoil, messages):
    folder = make_set("set", COLOURS)
    spoil(Path(folder))
    assert dataset_info.main([folder]) == dataset_info.PROBLEM_STATUS
    out = capsys.readouterr().out
    for message in messages:
        assert re.search(message, out), out


@pytest.mark.parametrize("spoil", [damage_index, remove_index, garble_index, remove_header])
def test_a_rebuilt_set_equals_the_undamaged_one(make_set, tmp_path, spoil):
    folder = make_set("set", COLOURS)
    undamaged = shutil.copytree(folder, tmp_path / "undamaged")
    spoil(Path(folder))
    assert dataset_info.main([folder, "--rebuild", str(tmp_path / "new")]) == 0
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "new" / name).read_bytes() == (undamaged / name).read_bytes()


def test_a_faulty_plain_file_is_rebuilt_as_a_valid_set(tmp_path, make_picture, capsys, caplog):
    items = [
        (7, make_picture((1, 2, 3))),
        (2, make_picture((4, 5, 6))),
        (7, make_picture(COLOURS[0])),
        (2, b"garbage"),
    ]
    write_plain(tmp_path / "plain", items)
    assert dataset_info.main([str(tmp_path / "plain"), "--decode"]) == dataset_info.PROBLEM_STATUS
    out = capsys.readouterr().out
    for text in ("plain im2rec", "2 labels between 2 and 7, expected 0 to 1",
                 "are not consecutive", "1 images cannot be decoded: records 3"):  # fmt: skip
        assert text in out
    assert dataset_info.main([str(tmp_path / "plain"), "--rebuild", str(tmp_path / "new")]) == 0
    assert "3 images + 2 identities + 1 header, labels renumbered" in capsys.readouterr().out
    assert "skipped: 1 images that cannot be decoded" in caplog.text
    reader, layout = open_face_records(str(tmp_path / "new"))
    with reader:
        found = [reader.read(index) for index in layout.image_ids]
    assert [record.label.tolist() for record in found] == [[1, 1], [1, 1], [0, 1]]
    assert [record.content for record in found] == [items[0][1], items[2][1], items[1][1]]
    assert load_property(str(tmp_path / "new")) == {"num_classes": 2, "image_size": [16, 16]}


def test_only_the_damaged_record_is_lost(make_set, tmp_path, caplog):
    folder = Path(make_set("set", COLOURS))
    with RecordReader(folder / "train.rec") as reader:
        offset = reader.offset(3)
    data = bytearray((folder / "train.rec").read_bytes())
    data[offset : offset + 4] = b"????"
    (folder / "train.rec").write_bytes(data)
    assert dataset_info.main([str(folder), "--rebuild", str(tmp_path / "new")]) == 0
    assert "1 damaged records" in caplog.text
    reader, layout = open_face_records(str(tmp_path / "new"))
    with reader:
        assert list(layout.identity_ranges.values()) == [(1, 3), (3, 4), (4, 6)]


def test_unpacking_and_packing_again_gives_the_same_bytes(make_set, tmp_path, capsys):
    folder = make_set("set", COLOURS, images=3)
    assert dataset_info.main([folder, "--unpack", str(tmp_path / "faces")]) == 0
    assert len(list((tmp_path / "faces").glob("*/*.png"))) == 9
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").glob("*/*")}
    assert dataset_info.main([folder, "--unpack", str(tmp_path / "faces")]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").glob("*/*")} == before
    new = tmp_path / "new"
    glint2lst.main(
        [str(tmp_path / "faces"), "--output", str(new / "train.lst"), "--image-size", "16,16"]
    )
    assert face2rec2.main([str(new)]) == 0
    for name in ("train.rec", "train.idx", "property"):
        assert (new / name).read_bytes() == Path(folder, name).read_bytes()


def test_a_verification_set_is_unpacked_and_packed_again(tmp_path, make_picture, capsys):
    images = [make_picture((number, 0, 0), (112, 112)) for number in range(8)]
    write_bin(tmp_path / "a.bin", images, [True, False, True, False])
    assert dataset_info.main([str(tmp_path / "a.bin"), "--unpack", str(tmp_path / "p")]) == 0
    assert "verification set, 4 pairs, 2 same" in capsys.readouterr().out
    lfw2pack.main(
        ["--data-dir", str(tmp_path / "p"), "--output", str(tmp_path / "b.bin"), "--nfolds", "2"]
    )
    assert read_bin(tmp_path / "b.bin") == (images, [True, False, True, False])


def test_an_invalid_bin_is_a_problem(tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"x")
    assert dataset_info.main([str(tmp_path)]) == dataset_info.PROBLEM_STATUS
    assert "PROBLEM: " in capsys.readouterr().out


def test_wrong_arguments_are_errors(tmp_path, make_set, make_picture):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        dataset_info.main([str(tmp_path / "nowhere")])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"neither a \.rec nor a \.bin"):
        dataset_info.main([str(tmp_path / "none")])
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"expected a data set folder, a \.rec or a \.bin"):
        dataset_info.main([str(tmp_path / "a.txt")])
    (tmp_path / "a.bin").touch()
    with pytest.raises(InputError, match=r"a\.bin has no records \(\.rec\)"):
        dataset_info.main([str(tmp_path / "a.bin"), "--rebuild", str(tmp_path / "b")])
    folder = make_set("set", COLOURS)
    with pytest.raises(InputError, match="is the data set itself"):
        dataset_info.main([folder, "--rebuild", folder])
    write_plain(tmp_path / "plain", [(0.5, make_picture(COLOURS[0]))])
    with pytest.raises(InputError, match="some labels are not identities"):
        dataset_info.main([str(tmp_path / "plain"), "--rebuild", str(tmp_path / "b")])
