"""RecordIO bytes against MXNet's own writer and reader; damage is found and named."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats import records as records_module
from src.formats.record_scan import records_at, scan_records
from src.formats.recordio import (
    LARGEST_EXACT,
    MAGIC,
    decode_record,
    encode_record,
    pack_payload,
    unpack_payload,
)
from src.formats.records import RecordReader, RecordWriter, read_index

# Pieces that make the magic number likely, at multiples of four and elsewhere.
CONTENT = st.lists(
    st.one_of(st.just(MAGIC), st.binary(max_size=9), st.just(MAGIC[:2])), max_size=8
).map(b"".join)
LABEL = st.one_of(
    st.integers(0, LARGEST_EXACT), st.lists(st.integers(0, LARGEST_EXACT), min_size=2, max_size=3)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


@given(records=st.lists(st.tuples(LABEL, CONTENT), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_bytes_are_those_of_mxnet(folder, records):
    theirs = mx.recordio.MXIndexedRecordIO(str(folder / "mx.idx"), str(folder / "mx.rec"), "w")
    with RecordWriter(folder / "own.rec") as writer:
        for index, (label, content) in enumerate(records):
            header = mx.recordio.IRHeader(0, label, index, 0)
            theirs.write_idx(index, mx.recordio.pack(header, content))
            writer.write(index, label, content)
    theirs.close()
    assert (folder / "own.rec").read_bytes() == (folder / "mx.rec").read_bytes()
    assert (folder / "own.idx").read_bytes() == (folder / "mx.idx").read_bytes()


@given(records=st.lists(st.tuples(LABEL, CONTENT), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_round_trip_by_index_and_by_scan(folder, records):
    path = folder / "trip.rec"
    with RecordWriter(path) as writer:
        for index, (label, content) in enumerate(records):
            writer.write(index, label, content)
    with RecordReader(path) as reader:
        read = [reader.read(index) for index in range(len(records))]
    scanned = list(scan_records(path))
    assert [each.damage for each in scanned] == [None] * len(records)
    again = list(records_at(path, [each.offset for each in scanned]))
    for (label, content), *found in zip(
        records, read, [each.record for each in scanned], again, strict=True
    ):
        for record in found:
            assert record.content == content
            np.testing.assert_array_equal(record.label, np.ravel(label))
            assert record.flag == (0 if np.ndim(label) == 0 else len(label))


@given(payload=CONTENT)
@settings(deadline=None)
def test_a_record_decodes_to_its_payload(payload):
    encoded = encode_record(payload)
    assert len(encoded) % 4 == 0
    assert decode_record(lambda at, n: encoded[at : at + n], 0) == (payload, len(encoded))


def test_mxnet_reads_what_is_written(tmp_path):
    with RecordWriter(tmp_path / "a.rec") as writer:
        writer.write(7, [3, 1], b"\xff\xd8picture")
    theirs = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
    header, content = mx.recordio.unpack(theirs.read_idx(7))
    assert (header.flag, header.label.tolist(), header.id, content) == (
        2, [3.0, 1.0], 7, b"\xff\xd8picture",
    )  # fmt: skip
    with RecordReader(tmp_path / "a.rec") as reader:
        assert reader.read_idx(7) == theirs.read_idx(7)


def test_a_label_that_float32_cannot_represent_is_rejected():
    pack_payload(1, LARGEST_EXACT)
    with pytest.raises(InputError, match="16777217 is above 16777216"):
        pack_payload(1, LARGEST_EXACT + 1)


def test_a_payload_shorter_than_its_labels_is_rejected():
    payload = pack_payload(1, [2, 3])
    with pytest.raises(ValueError, match="too few for 2 labels"):
        unpack_payload(payload[:28])


def write_three(path):
    with RecordWriter(path) as writer:
        return [writer.write(index, index, bytes([index]) * 50) for index in range(3)]


def test_nothing_appears_when_writing_fails(tmp_path):
    with pytest.raises(RuntimeError), RecordWriter(tmp_path / "a.rec") as writer:
        writer.write(0, 0, b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_kill_between_the_two_files_leaves_no_old_index(tmp_path, monkeypatch):
    path = tmp_path / "a.rec"
    with RecordWriter(path) as writer:
        writer.write(1, 0, b"old")
    replace = os.replace

    def killed_after_the_records(source, target):
        replace(source, target)
        if str(target).endswith(".rec"):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed_after_the_records)
    with pytest.raises(KeyboardInterrupt), RecordWriter(path) as writer:
        writer.write(1, 0, b"new and longer")
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match=r"the index of the records is missing.*--rebuild"):
        RecordReader(path)


def test_a_changed_label_is_the_only_change(tmp_path):
    with RecordWriter(tmp_path / "a.rec") as writer:
        first = writer.write(1, [5, 1], b"x")
        second = writer.write(2, 6, b"y")
        writer.change_label(first, 7, flag=2)
        writer.change_label(second, 8, flag=0)
        writer.write(3, 9, b"z")
    with RecordReader(tmp_path / "a.rec") as reader:
        found = [(reader.read(i).label.tolist(), reader.read(i).content) for i in (1, 2, 3)]
    assert found == [([7.0, 1.0], b"x"), ([8.0], b"y"), ([9.0], b"z")]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data, at: data[: at + 40], "the file ends inside the record"),
        (lambda data, at: data[:at] + b"????" + data[at + 4 :], "no record starts here"),
        (lambda data, at: data[: at + 4] + b"\x90" + data[at + 5 :], "reaches into the next"),
    ],
)
def test_reading_a_damaged_record_names_it(tmp_path, damage, message):
    path = tmp_path / "a.rec"
    offset = write_three(path)[1]
    path.write_bytes(damage(path.read_bytes(), offset))
    with RecordReader(path) as reader:
        assert reader.read(0).content == bytes(50)
        with pytest.raises(InputError, match=rf"record 1 is damaged at byte {offset}.*{message}"):
            reader.read(1)
        with pytest.raises(KeyError):
            reader.read(9)


def test_a_scan_continues_after_damage(tmp_path):
    path = tmp_path / "a.rec"
    offset = write_three(path)[1]
    data = path.read_bytes()
    path.write_bytes(data[: offset + 4] + b"\xff" + data[offset + 5 :])
    scanned = list(scan_records(path))
    assert [each.record and each.record.id for each in scanned] == [0, None, 2]
    assert scanned[1].offset == offset


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"not records at all", "is not a RecordIO file")]
)
def test_scanning_another_file_raises_an_error(tmp_path, content, message):
    (tmp_path / "a.rec").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(scan_records(tmp_path / "a.rec"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t0\nx\ty\n", "is not an index"),
        ("1\t0\n2\n", "is not an index"),
        ("1\t0\n1\t8\n", "lists record 1 twice"),
    ],
)
def test_a_wrong_index_suggests_a_fix(tmp_path, text, message):
    (tmp_path / "a.idx").write_text(text)
    with pytest.raises(InputError, match=f"{message}.*dataset_info .* --rebuild"):
        read_index(tmp_path / "a.idx")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.rec: no such records"):
        RecordReader(tmp_path / "a.rec")
    (tmp_path / "a.rec").touch()
    with pytest.raises(FileNotFoundError, match=r"a\.idx: the index .* is missing; rebuild it"):
        RecordReader(tmp_path / "a.rec")


@pytest.mark.parametrize("block", [7, 16, 40, 1 << 22])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_an_index_is_parsed_in_blocks(tmp_path, monkeypatch, block, end):
    monkeypatch.setattr(records_module, "INDEX_BLOCK", block)
    path = tmp_path / "train.idx"
    lines = [f"{number}\t{number * 1000}" for number in range(30)]
    path.write_bytes(("\ufeff" + (end or "\n").join(lines) + end).encode())
    keys, offsets = read_index(path)
    assert keys.tolist() == list(range(30))
    assert offsets.tolist() == [1000 * number for number in range(30)]
    lines[20], lines[3] = lines[3], lines[20]
    path.write_text("\n".join(lines))
    assert read_index(path)[1].tolist() == offsets.tolist()
    for wrong in ("20", "20\t7\t8", "20\tx", "20\t1.5", "20\t9223372036854775807", "20\t1e3"):
        lines[20] = wrong
        path.write_text("\n".join(lines))
        with pytest.raises(InputError, match="is not an index"):
            read_index(path)
