"""Scanning a .rec by its index gives what reading it record by record gives."""

import numpy as np
import pytest

from src.data import image_records
from src.data.image_records import scan_images
from src.formats.face_records import FaceRecordWriter
from src.formats.recordio import MAGIC


def same(first, second):
    for name, value in first._asdict().items():
        other = getattr(second, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other, err_msg=name)
            assert value.dtype == other.dtype, name
        else:
            assert value == other, name


@pytest.fixture
def path(tmp_path):
    with FaceRecordWriter(tmp_path / "train.rec") as writer:
        for label in range(3):
            for number in range(4):
                content = b"picture" * (number + 1)
                if number == 2:  # a record in parts
                    content = bytes(4 * label) + MAGIC + MAGIC + content
                writer.add_image([label, 1], content)
    return str(tmp_path / "train.rec")


def test_a_file_in_order_is_scanned_by_its_index(path, monkeypatch):
    slow = image_records._scan_one_by_one(path)
    assert len(slow.offsets) == 12
    assert (slow.other_records, slow.damages) == (4, [])
    monkeypatch.setattr(image_records, "_scan_one_by_one", None)
    same(scan_images(path), slow)


def change(path, place, content):
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(content)


@pytest.mark.parametrize(
    "damage",
    ["index", "missing line", "header", "length", "magic number inside", "longer", "shorter"],
)
def test_everything_else_is_read_record_by_record(path, tmp_path, damage):
    offsets = image_records._scan_one_by_one(path).offsets
    index = tmp_path / "train.idx"
    lines = index.read_text().splitlines(keepends=True)
    if damage == "index":
        index.write_text("no index\n")
    elif damage == "missing line":
        index.write_text("".join(lines[:5] + lines[6:]))
    elif damage == "header":
        change(path, int(offsets[3]), b"\0\0\0\0")
    elif damage == "length":
        change(path, int(offsets[3]) + 4, b"\xff\0\0\0")
    elif damage == "magic number inside":
        change(path, int(offsets[3]) + 40, MAGIC)
    elif damage == "longer":
        with open(path, "ab") as file:
            file.write(b"more")
    else:
        with open(path, "r+b") as file:
            file.truncate(file.seek(0, 2) - 4)
    assert image_records._scan_by_index(path) is None
    found = scan_images(path)
    same(found, image_records._scan_one_by_one(path))
    assert bool(found.damages) == (damage not in ("index", "missing line"))


def test_many_records_in_parts_are_read_one_by_one(path, monkeypatch):
    monkeypatch.setattr(image_records, "MOST_IN_PARTS", 2)
    assert image_records._scan_by_index(path) is None
    assert len(scan_images(path).offsets) == 12
