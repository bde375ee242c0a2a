"""Identity ranges and record 0: written, read, and diagnosed."""

import pytest

from src.common.errors import InputError
from src.formats.face_layout import (
    DAMAGED,
    HEADERLESS,
    PLAIN,
    LayoutError,
    open_face_records,
    read_layout,
)
from src.formats.face_records import FaceRecordWriter
from src.formats.records import RecordReader, RecordWriter


def write_set(path, labels, **options):
    with FaceRecordWriter(path, **options) as writer:
        for number, label in enumerate(labels):
            writer.add_image(label, b"picture %d" % number)
    return writer


def all_records(path):
    with RecordReader(path) as reader:
        return {int(key): reader.read(key).label.tolist() for key in reader.keys}


def test_images_come_first_then_record_0_and_the_identities(tmp_path):
    writer = write_set(tmp_path / "a.rec", [[0, 1], [0, 1], [1, 1]])
    assert (writer.images, writer.identities, writer.new_labels) == (3, 2, {})
    assert all_records(tmp_path / "a.rec") == {
        0: [4, 6], 1: [0, 1], 2: [0, 1], 3: [1, 1], 4: [1, 3], 5: [3, 4],
    }  # fmt: skip
    lines = (tmp_path / "a.idx").read_text().split()[::2]
    assert lines == ["1", "2", "3", "0", "4", "5"]


def test_record_0_may_come_last(tmp_path):
    write_set(tmp_path / "a.rec", [0, 0, 1], header_last=True)
    assert (tmp_path / "a.idx").read_text().split()[::2] == ["1", "2", "3", "4", "5", "0"]
    with RecordReader(tmp_path / "a.rec") as reader:
        layout = read_layout(reader)
    assert layout.header == (4, 6)
    assert layout.image_ids == range(1, 4)
    assert layout.identity_ranges == {4: (1, 3), 5: (3, 4)}


@pytest.mark.parametrize("aligned", [None, 1])
def test_gaps_between_labels_are_closed(tmp_path, aligned):
    labels = [9, 9, 2, 5]
    given = labels if aligned is None else [[label, aligned] for label in labels]
    writer = write_set(tmp_path / "a.rec", given)
    assert writer.new_labels == {2: 0, 5: 1, 9: 2}
    records = all_records(tmp_path / "a.rec")
    assert [records[number][0] for number in (1, 2, 3, 4)] == [2, 2, 0, 1]
    if aligned is not None:
        assert [records[number][1] for number in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_an_identity_in_two_places_is_rejected(tmp_path):
    with pytest.raises(InputError, match="image 3 has label 0 again, after other labels"):
        write_set(tmp_path / "a.rec", [0, 1, 0])
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_is_rejected(tmp_path):
    with pytest.raises(InputError, match="there is no image to write"):
        write_set(tmp_path / "a.rec", [])
    assert list(tmp_path.iterdir()) == []


def write_raw(path, records):
    with RecordWriter(path) as writer:
        for index, label, content in records:
            writer.write(index, label, content)


NAN = float("nan")
IMAGES = [(1, [0, 1], b"x"), (2, [0, 1], b"x")]


@pytest.mark.parametrize(
    ("records", "kind", "message"),
    [
        (IMAGES, HEADERLESS, "headerless: it has no record 0"),
        ([(0, 0, b"x"), (1, 0, b"x")], PLAIN, "plain im2rec file: record 0 is an image"),
        ([], DAMAGED, "is empty"),
        ([*IMAGES, (0, 3, b"")], DAMAGED, "record 0 has 0 numbers, expected 2"),
        ([*IMAGES, (0, [NAN, 4], b"")], DAMAGED, "has .nan, 4.0., expected record numbers"),
        (
            [*IMAGES, (0, [3, 4], b""), (3, [1, NAN], b"")],
            DAMAGED,
            "record 3 does not contain a range",
        ),
        ([*IMAGES, (0, [3, 3], b"")], DAMAGED, "record 0 gives 3 to 2 .* an invalid range"),
        ([*IMAGES, (0, [3, 4], b"")], DAMAGED, "identity record 3 is missing"),
        (
            [*IMAGES, (0, [3, 4], b""), (3, [1, 9], b"")],
            DAMAGED,
            "record 3 gives images 1 to 8, expected",
        ),
        ([*IMAGES, (0, [3, 4], b""), (3, [1, 2], b"")], DAMAGED, "2 to 2 belong to no identity"),
        ([*IMAGES, (0, [3, 4], b""), (3, 1, b"x")], DAMAGED, "record 3 does not contain a range"),
        ([IMAGES[0], (0, [3, 4], b""), (3, [1, 3], b"")], DAMAGED, "1 of the 2 images are not in"),
    ],
)
def test_errors_about_other_files_suggest_a_fix(tmp_path, records, kind, message):
    write_raw(tmp_path / "a.rec", records)
    with (
        RecordReader(tmp_path / "a.rec") as reader,
        pytest.raises(LayoutError, match=rf"{message}[\s\S]*dataset_info .* --rebuild") as caught,
    ):
        read_layout(reader)
    assert caught.value.kind == kind


def test_open_face_records_names_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder \(expected train\.rec"):
        open_face_records(str(tmp_path / "nowhere"))
