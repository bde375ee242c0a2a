"""Headers of many records at once, against reading the records one by one."""

import numpy as np
import pytest

from src.formats.face_layout import read_layout
from src.formats.record_headers import read_headers
from src.formats.recordio import MAGIC
from src.formats.records import RecordReader, RecordWriter

CONTENTS = [b"", b"a", b"picture", b"x" * 5000, b"", b"last"]
LABELS = [[3, 7], 5, [1, 2, 9], 4, 2.5, [8, 1]]


@pytest.fixture
def path(tmp_path):
    with RecordWriter(tmp_path / "train.rec") as writer:
        for number, (label, content) in enumerate(zip(LABELS, CONTENTS, strict=True)):
            writer.write(number + 10, label, content)
    return tmp_path / "train.rec"


def test_headers_are_those_of_the_records(path):
    with RecordReader(path) as reader:
        found = read_headers(path, reader.offsets)
        records = [reader.read(number) for number in reader.keys]
        assert found.is_plain.all()
        assert found.ids.tolist() == list(range(10, 16))
        assert found.flags.tolist() == [record.flag for record in records] == [2, 0, 3, 0, 0, 2]
        assert found.content.tolist() == [len(record.content) for record in records]
        for record, (first, second) in zip(records, found.labels, strict=True):
            assert first == record.label[0]
            assert len(record.label) == 1 or second == record.label[1]
        assert found.ends.tolist() == [*reader.offsets[1:], path.stat().st_size]
        labels = reader.first_labels(np.array([15, 10, 12, 12]))
        assert labels.tolist() == [8, 3, 1, 1]
        assert read_headers(path, reader.offsets[:0]).ids.shape == (0,)


@pytest.mark.parametrize("offset", [-4, -1, 2, 8, 10**9, 10**15])
def test_offsets_where_no_record_starts(path, offset):
    assert not read_headers(path, np.array([offset])).is_plain[0]


@pytest.mark.parametrize(
    ("place", "damage"),
    [(0, b"\0\0\0\0"), (4, b"\xff\xff\xff\x1f"), (4, b"\x08\0\0\0"), (8, b"\xff\xff\xff\xff")],
)
def test_damaged_headers_are_not_plain(path, place, damage):
    with RecordReader(path) as reader:
        offset = int(reader.offsets[1])
    content = bytearray(path.read_bytes())
    content[offset + place : offset + place + 4] = damage
    path.write_bytes(content)
    with RecordReader(path) as reader:
        assert read_headers(path, reader.offsets).is_plain.tolist() == [True, False, *[True] * 4]


def test_a_record_in_parts_is_read_on_its_own(tmp_path):
    path = tmp_path / "train.rec"
    with RecordWriter(path) as writer:
        writer.write(1, [6, 1], bytes(4) + MAGIC + b"more")
        writer.write(2, 7, b"plain")
    with RecordReader(path) as reader:
        assert read_headers(path, reader.offsets).is_plain.tolist() == [False, True]
        assert reader.first_labels(np.array([2, 1])).tolist() == [7, 6]
        with pytest.raises(KeyError):
            reader.first_labels(np.array([1, 3]))
        with pytest.raises(KeyError):
            reader.headers(1, 4)


@pytest.mark.parametrize("content", [b"", b"abc", b"123456789012"])
def test_tiny_files(tmp_path, content):
    (tmp_path / "a.rec").write_bytes(content)
    assert not read_headers(tmp_path / "a.rec", np.array([0, 4])).is_plain.any()


def test_identity_ranges_are_a_mapping(learnable_set):
    with RecordReader(learnable_set / "train.rec") as reader:
        ranges = read_layout(reader).identity_ranges
    expected = {49 + i: (1 + 6 * i, 7 + 6 * i) for i in range(8)}
    assert ranges == expected
    assert dict(ranges.items()) == expected
    assert list(ranges) == list(expected)
    assert ranges[56] == (43, 49)
    assert repr(ranges) == repr(expected)
    for missing in (48, 57):
        assert missing not in ranges
        with pytest.raises(KeyError):
            ranges[missing]
