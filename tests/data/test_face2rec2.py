"""Packing: bad photos are reported, and ungrouped or gappy labels are put in order."""

import queue
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.data import face2rec2, packing
from src.data.training_lists import group_by_label
from src.formats.face_layout import open_face_records, read_layout
from src.formats.recordio import unpack_payload
from src.formats.records import RecordReader

SIZE = (16, 16)


@pytest.fixture
def folder(tmp_path, make_picture):
    """A folder with property and 12 aligned photos p0.png … p11.png, all of different colours."""
    for number in range(12):
        (tmp_path / f"p{number}.png").write_bytes(make_picture((number * 20, 9, 99)))
    (tmp_path / "property").write_text("3,16,16")
    return tmp_path


def write_list(folder, labels, names=None):
    names = names or [f"p{number}.png" for number in range(len(labels))]
    lines = [f"1\t{name}\t{label}\n" for name, label in zip(names, labels, strict=True)]
    (folder / "train.lst").write_text("".join(lines))


def packed_labels(folder):
    reader, layout = open_face_records(str(folder))
    with reader:
        return [reader.read(index).label.tolist() for index in layout.image_ids], layout


def test_photos_pass_through_in_list_order(folder, capsys):
    write_list(folder, [0, 0, 1, 2])
    assert face2rec2.main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert "4 images + 3 identities + 1 header" in out
    assert "image_size [16, 16]" in out
    assert "count: 0" in out
    with RecordReader(folder / "train.rec") as reader:
        for index in range(1, 5):
            assert reader.read(index).content == (folder / f"p{index - 1}.png").read_bytes()
        assert read_layout(reader).identity_ranges == {5: (1, 3), 6: (3, 4), 7: (4, 5)}
    assert packed_labels(folder)[0] == [[0, 1], [0, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize("prefix", ["train", "tr"])
def test_the_prefix_can_be_the_beginning_of_a_name(folder, prefix):
    write_list(folder, [0, 1])
    assert face2rec2.main([str(folder / prefix)]) == 0
    assert (folder / "train.rec").exists()


def test_an_ungrouped_list_is_grouped(folder, caplog):
    write_list(folder, [1, 0, 1, 2, 0, 1])
    assert face2rec2.main([str(folder), "--shuffle", "True"]) == 0
    labels, layout = packed_labels(folder)
    assert [label for label, _ in labels] == [1, 1, 1, 0, 0, 2]
    assert len(layout.identity_ranges) == 3
    assert "are not consecutive: grouped" in caplog.text


def test_grouping_keeps_the_order_of_first_appearance():
    random = np.random.RandomState(0)
    labels = random.randint(0, 9, 200)
    slow = sorted(range(200), key=lambda place: (list(labels).index(labels[place]), place))
    assert group_by_label(labels).tolist() == slow
    assert group_by_label(np.array([4, 4, 1, 2, 2])) is None


def test_bad_photos_are_reported_by_line_and_the_rest_is_packed(folder, caplog, make_picture):
    noise = np.random.RandomState(0).randint(0, 255, (*SIZE, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    for name, content in [
        ("garbage.jpg", b"no picture"),
        ("empty.jpg", b""),
        ("cut.jpg", jpeg[:-100]),
        ("large.png", make_picture((1, 2, 3), (20, 18))),
    ]:
        (folder / name).write_bytes(content)
    names = ["p0.png", "missing.png", "garbage.jpg", "empty.jpg", "cut.jpg", "large.png", "p1.png"]
    write_list(folder, [0, 0, 1, 1, 1, 2, 2], names)
    assert face2rec2.main([str(folder), "--num-thread", "2"]) == face2rec2.SKIPPED_STATUS
    for line, reason in [
        (2, "No such file or directory: 'missing.png'"),
        (3, "not an image that training can decode"),
        (4, "the file is empty"),
        (5, "cut.jpg: "),  # the reason depends on the versions of OpenCV and Pillow
        (6, "20×18 pixels, but the data set has 16×16: align it first"),
    ]:
        assert f"line {line} skipped" in caplog.text
        assert reason in caplog.text
    assert "skipped 5 of 7 photos" in caplog.text
    skipped = (folder / "train.skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in skipped] == ["line", "2", "3", "4", "5", "6"]


def test_a_person_who_loses_all_photos_leaves_no_gap(folder, caplog):
    write_list(folder, [0, 1, 2, 2], ["p0.png", "missing.png", "p2.png", "p3.png"])
    assert face2rec2.main([str(folder)]) == face2rec2.SKIPPED_STATUS
    labels, _ = packed_labels(folder)
    assert labels == [[0, 1], [1, 1], [1, 1]]
    assert "1 people have no photo left, labels 1" in caplog.text
    assert (folder / "train.labels.tsv").read_text() == "old\tnew\n0\t0\n2\t1\n"
    assert "property gave 3 classes, but 2 were packed: updated" in caplog.text
    assert (folder / "property").read_text() == "2,16,16"
    # The tables of the earlier packing are removed.
    write_list(folder, [0, 1], ["p0.png", "p1.png"])
    assert face2rec2.main([str(folder)]) == 0
    assert not list(folder.glob("*.tsv"))


def test_gaps_between_labels_are_closed(folder, caplog):
    write_list(folder, [10, 10, 3])
    assert face2rec2.main([str(folder)]) == 0
    assert [label for label, _ in packed_labels(folder)[0]] == [1, 1, 0]
    assert "not 0 to 1 and have been renumbered" in caplog.text


def test_a_missing_property_is_written(tmp_path, make_picture, caplog):
    (tmp_path / "a.jpg").write_bytes(make_picture((1, 2, 3), (112, 112), ".jpg"))
    write_list(tmp_path, [0], ["a.jpg"])
    assert face2rec2.main([str(tmp_path)]) == 0
    assert (tmp_path / "property").read_text() == "1,112,112"
    assert "has no property file: using 112,112" in caplog.text


LANDMARK = "\t".join(["0"] * 4 + ["30", "65", "48", "33", "62", "51", "51", "71", "92", "92"])


@pytest.mark.parametrize(("color", "channels"), [("1", 3), ("0", 2), ("-1", 3)])
def test_unaligned_photos_are_warped_and_encoded(folder, color, channels):
    random = np.random.RandomState(0)
    cv2.imwrite(str(folder / "photo.png"), random.randint(0, 255, (120, 100, 3), np.uint8))
    (folder / "train.lst").write_text(f"0\tphoto.png\t0\t{LANDMARK}\n0\tphoto.png\t0\n")
    assert face2rec2.main([str(folder), "--encoding", ".png", "--color", color]) == 0
    with RecordReader(folder / "train.rec") as reader:
        record = reader.read(1)
        assert record.label.tolist() == [0, 0]
        picture = cv2.imdecode(np.frombuffer(record.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (16, 16, 3)[:channels]
    assert len(packed_labels(folder)[0]) == 1  # the line without landmarks is left out


def test_degenerate_landmarks_are_skipped(folder, caplog):
    same = "\t".join(["0"] * 4 + ["5"] * 10)
    (folder / "train.lst").write_text(f"1\tp0.png\t0\n0\tp1.png\t0\t{same}\n")
    assert face2rec2.main([str(folder)]) == face2rec2.SKIPPED_STATUS
    assert "line 2 skipped: degenerate landmarks" in caplog.text


def test_the_bytes_do_not_depend_on_workers(folder):
    cv2.imwrite(str(folder / "q.png"), np.random.RandomState(0).randint(0, 255, (99, 99, 3)))
    lines = [f"1\tp{number % 12}.png\t{number // 50}\n" for number in range(100)]
    lines += [f"0\tq.png\t2\t{LANDMARK}\n"] * 60
    (folder / "train.lst").write_text("".join(lines))
    found = []
    for workers in ("1", "2"):
        assert face2rec2.main([str(folder), "--num-thread", workers]) == 0
        found.append((folder / "train.rec").read_bytes() + (folder / "train.idx").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tp0.png\n", "line 1: .*expected 3, 7 or 17 fields"),
        ("1\tp0.png\t0\n1\tp1.png\tx\n", "line 2: .*invalid literal"),
        ("1\tp0.png\t-1\n", "line 1: label -1: a training set needs the labels 0, 1"),
        ("", "no photo to pack"),
        ("0\tp0.png\t0\n", "no photo to pack .*1 lines are not aligned and have no"),
        ("1\tnone.png\t0\n", r"none of 1 photos can be packed; the first: .*none\.png"),
    ],
)
def test_a_wrong_list_is_an_error_and_nothing_is_written(folder, text, message):
    (folder / "train.lst").write_text(text)
    with pytest.raises(InputError, match=message):
        face2rec2.main([str(folder)])
    assert not (folder / "train.rec").exists()
    assert not list(folder.glob("*.part"))


def test_wrong_prefixes_and_properties_are_errors(folder):
    with pytest.raises(InputError, match="Did not find and list file with prefix"):
        face2rec2.main([str(folder)])
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        face2rec2.main([str(folder / "nowhere" / "train")])
    write_list(folder, [0])
    (folder / "property").write_text("three")
    with pytest.raises(InputError, match="expected one line classes,height,width"):
        face2rec2.main([str(folder)])


@pytest.mark.parametrize(
    "flags", [["--quality", "0"], ["--num-thread", "0"], ["--list", "True"], ["--shuffle", "maybe"]]
)
def test_wrong_flags_are_errors(flags, capsys):
    with pytest.raises(SystemExit):
        face2rec2.parse_args(["prefix", *flags])
    assert flags[0] in capsys.readouterr().err


def test_the_2018_functions(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write_list(folder, [0, 0, 1], ["p0.png", "p1.png", "missing.png"])
    items = list(face2rec2.read_list(str(folder / "train.lst")))
    assert [(item.flag, item.id, item.label) for item in items] == [
        (0, 1, [0, 1]), (0, 2, [0, 1]), (0, 3, [1, 1]),
        (2, 0, [4.0, 6.0]), (2, 4, [1.0, 3.0]), (2, 5, [3.0, 4.0]),
    ]  # fmt: skip
    args = SimpleNamespace(quality=95, encoding=".jpg", color=1, image_h=16, image_w=16)
    found = queue.Queue()
    for place, item in enumerate(items):
        face2rec2.image_encode(args, place, item, found)
    results = [found.get() for _ in items]
    assert [(place, ids) for place, _, ids in results] == [
        (0, [1]), (1, [2]), (2, [3]), (3, [0]), (4, [4]), (5, [5]),
    ]  # fmt: skip
    assert results[2][1] is None
    first = unpack_payload(results[0][1])
    assert (first.label.tolist(), first.id) == ([0, 1], 1)
    assert first.content == (folder / "p0.png").read_bytes()
    assert unpack_payload(results[3][1]).label.tolist() == [4, 6]


# ---------------------------------------------------------------------------------- parts


def packed_files(folder):
    names = ("train.rec", "train.idx", "property", "train.skipped.tsv", "train.labels.tsv")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


@pytest.fixture
def several_chunks(folder, monkeypatch):
    """The 12 photos in chunks of 3, one of them unreadable, and what one run makes of them."""
    monkeypatch.setattr(packing, "CHUNK", 3)
    (folder / "p4.png").write_bytes(b"")
    write_list(folder, [0, 0, 1, 2, 2, 5, 5, 7, 7, 8, 8, 8])
    face2rec2.main([str(folder)])
    expected = packed_files(folder)
    for name in expected:
        (folder / name).unlink()
    (folder / "property").write_text("3,16,16")
    return expected


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_parts_together_give_the_records_of_one_run(
    folder, several_chunks, monkeypatch, parts, capsys
):
    for part in reversed(range(parts)):
        face2rec2.main([str(folder), "--shard", f"{part}/{parts}"])
    assert not (folder / "train.rec").exists()
    assert f"train.rec.shard-0-of-{parts}: " in capsys.readouterr().out
    encode = packing.encode_chunk
    monkeypatch.setattr(packing, "encode_chunk", lambda task: pytest.fail("encoded again"))
    face2rec2.main([str(folder)])
    assert packed_files(folder) == several_chunks
    assert not list(folder.glob("*.shard-*"))
    monkeypatch.setattr(packing, "encode_chunk", encode)
    face2rec2.main([str(folder)])
    assert packed_files(folder) == several_chunks


def test_a_missing_part_is_named_and_a_stale_one_is_encoded_again(
    folder, several_chunks, make_picture
):
    face2rec2.main([str(folder), "--shard", "0/2"])
    with pytest.raises(InputError, match=r"train\.rec\.shard-1-of-2 is missing: run its part"):
        face2rec2.main([str(folder)])
    face2rec2.main([str(folder), "--shard", "1/2"])
    (folder / "p9.png").write_bytes(make_picture((1, 2, 3)))
    face2rec2.main([str(folder)])
    with RecordReader(folder / "train.rec") as reader:
        assert (folder / "p9.png").read_bytes() in [reader.read(n).content for n in range(1, 12)]


def test_a_stopped_run_over_parts_continues(folder, several_chunks, monkeypatch):
    for part in range(2):
        face2rec2.main([str(folder), "--shard", f"{part}/2"])
    add, added = packing.FaceRecordWriter.add_image, []

    def stop(self, *arguments):
        added.append(arguments)
        if len(added) == 5:
            raise KeyboardInterrupt
        add(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(packing.FaceRecordWriter, "add_image", stop)
        with pytest.raises(KeyboardInterrupt):
            face2rec2.main([str(folder)])
    monkeypatch.setattr(packing, "encode_chunk", lambda task: pytest.fail("encoded again"))
    face2rec2.main([str(folder)])
    assert packed_files(folder) == several_chunks
