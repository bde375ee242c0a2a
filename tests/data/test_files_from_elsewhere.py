"""Lists, records, photos and verification sets that other programs wrote."""

import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.data import dataset_info, dataset_merge, face2rec2, glint2lst, hold_out
from src.data.name_table import NameTable
from src.data.pairs import read_pairs
from src.eval.report_pictures import contact_sheet
from src.formats.face_layout import open_face_records
from src.formats.face_records import FaceRecordWriter
from src.formats.property import load_property
from src.formats.verification_set import read_bin
from src.loading import face_iter, triplet_iter


@pytest.fixture(scope="session")
def cases(shared):
    """Folder of inputs that caused failures."""
    return shared / "cases" / "data"


def labels_of(folder):
    """[[label, aligned] of each image] of a data set, and its number of identities."""
    reader, layout = open_face_records(str(folder))
    with reader:
        labels = [reader.read(index).label.tolist() for index in layout.image_ids]
    return labels, len(layout.identity_ranges)


def write_faces(folder, people, make_picture, photos=2):
    """Aligned faces `folder/<person>/<number>.png`; returns their relative paths by label."""
    paths = []
    for label in range(people):
        (folder / f"p{label}").mkdir(parents=True)
        for photo in range(photos):
            path = folder / f"p{label}" / f"{photo}.png"
            path.write_bytes(make_picture((10 * label, 20 * photo, 0)))
            paths.append((label, f"p{label}/{photo}.png"))
    return paths


# ------------------------------------------------------------------------------ text files


def as_written_by_windows(path):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def test_every_kind_of_text_file_may_come_from_windows(tmp_path, make_picture):
    faces = write_faces(tmp_path, 4, make_picture)
    lst, pairs, table = (
        tmp_path / "train.lst",
        tmp_path / "pairs.txt",
        NameTable(str(tmp_path / "n.tsv")),
    )
    lst.write_text("".join(f"1\t{path}\t{label}\n" for label, path in faces))
    pairs.write_text("a\t1\t2\nb\t1\tc\t2\n")
    table.add_person("José", ["José/a.png"])
    table.write()
    (tmp_path / "property").write_text("4,16,16\n")
    landmarks = tmp_path / "t_lmk"
    landmarks.write_text("a.jpg 3 1 2 3 4 5 6 7 8 9 10\n")
    files = [lst, pairs, tmp_path / "n.tsv", tmp_path / "property", landmarks]
    for path in files:
        as_written_by_windows(path)
    assert face2rec2.main([str(tmp_path)]) == 0
    assert labels_of(tmp_path)[1] == 4
    assert len(list(face2rec2.read_list(str(lst)))) == 8 + 1 + 4
    assert hold_out.read_people(str(lst))[3] == ["p3/0.png", "p3/1.png"]
    assert contact_sheet(str(lst)).shape[0] == 4 * 84
    assert [pair.pictures for pair in read_pairs(pairs)] == [
        (("a", 1), ("a", 2)),
        (("b", 1), ("c", 2)),
    ]
    assert NameTable.read(table.path).new_name("José/a.png") == table.new_name("José/a.png")
    assert load_property(str(tmp_path)).num_classes == 4
    assert glint2lst.list_landmark_file(str(landmarks), "", {})[0].startswith("0\ta.jpg\t0\t")
    for path in files:
        path.write_text(path.read_text("utf-8-sig"), "utf-16")
    for read in (
        lambda: list(face2rec2.read_list(str(lst))),
        lambda: hold_out.read_people(str(lst)),
        lambda: read_pairs(pairs),
        lambda: NameTable.read(table.path),
        lambda: load_property(str(tmp_path)),
        lambda: glint2lst.list_landmark_file(str(landmarks), "", {}),
    ):
        with pytest.raises(InputError, match="is UTF-16 text: save it as UTF-8"):
            read()


# ------------------------------------------------------------------------------ im2rec


def test_a_list_of_im2rec_is_packed_in_groups(tmp_path, make_picture, caplog):
    caplog.set_level("INFO")
    faces = write_faces(tmp_path, 3, make_picture)
    lines = [f"{number}\t{label}.000000\t{path}\n" for number, (label, path) in enumerate(faces)]
    (tmp_path / "train.lst").write_text("".join(lines[start] for start in (3, 0, 5, 2, 1, 4)))
    (tmp_path / "property").write_text("3,16,16")
    assert face2rec2.main([str(tmp_path)]) == 0
    assert "train.lst is a list of MXNet's im2rec" in caplog.text
    assert labels_of(tmp_path) == ([[1, 1]] * 2 + [[0, 1]] * 2 + [[2, 1]] * 2, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0\t1.0\t2.0\tp/a.jpg", "with 2 labels; a face has one"),
        ("0\tnan\tp/a.jpg", "label nan of an im2rec list is not an identity"),
        ("0\tinf\tp/a.jpg", "label inf of an im2rec list"),
        ("0\t0.5\tp/a.jpg", "label 0.5 of an im2rec list"),
        ("1\tp/a.jpg\tnan", "invalid literal"),
        ("0\t-1.0\tp/a.jpg", "label -1: a training set needs"),
    ],
)
def test_labels_that_are_no_identities_are_rejected_with_their_line(tmp_path, line, message):
    path = tmp_path / "a.lst"
    path.write_text(f"\n{line}\n")
    for read in (hold_out.read_people, lambda path: face2rec2.main([path])):
        with pytest.raises(InputError, match=f"line 2: .*{message}"):
            read(str(path)[:-4] if read is not hold_out.read_people else str(path))


def test_the_case_of_an_im2rec_list(cases, shared, tmp_path):
    path = shutil.copy(cases / "07_im2rec_list" / "train.lst", tmp_path)
    people = hold_out.read_people(str(path))
    assert sorted(map(len, people.values())) == [5] * 6
    with pytest.raises(InputError, match=r"none of 30 photos can be packed; the first: .*No such"):
        face2rec2.main([str(tmp_path)])


@pytest.mark.parametrize("labels", [1, 2])
def test_records_of_im2rec_are_rebuilt(tmp_path, make_picture, labels, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    record = mx.recordio.MXIndexedRecordIO(
        str(folder / "train.idx"), str(folder / "train.rec"), "w"
    )
    for number in (4, 2, 5, 1, 3, 0):  # --shuffle; --pack-label stores an array; all ids are 0
        header = mx.recordio.IRHeader(0, [number // 2, 1][:labels], 0, 0)
        record.write_idx(number, mx.recordio.pack(header, make_picture((40 * number, 0, 0))))
    record.close()
    assert dataset_info.main([str(folder)]) == 1
    assert "plain im2rec" in capsys.readouterr().out
    assert dataset_info.main([str(folder), "--rebuild", str(tmp_path / "new")]) == 0
    assert dataset_info.main([str(tmp_path / "new"), "--decode"]) == 0
    found, identities = labels_of(tmp_path / "new")
    assert (sorted(found), identities) == ([[0, 1]] * 2 + [[1, 1]] * 2 + [[2, 1]] * 2, 3)
    assert dataset_info.main([str(folder), "--unpack", str(tmp_path / "out")]) == 1
    assert len(list((tmp_path / "out").glob("*/*.png"))) == 6


def test_the_case_of_ids_that_are_all_zero(cases, tmp_path, capsys):
    dataset_info.main([str(cases / "09_unpack_ids_zero"), "--unpack", str(tmp_path)])
    assert "30 images" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*/*"))) == 30


@pytest.mark.parametrize("line", ["3\t18446744073709551615", "18446744073709551615\t0"])
def test_an_index_with_numbers_above_63_bits_is_repaired(make_set, tmp_path, line, capsys):
    folder = make_set("set", [(250, 0, 0), (0, 250, 0)])
    with open(f"{folder}/train.idx", "a") as file:
        file.write(f"{line}\n")
    check_damaged_index(folder, tmp_path, capsys)


def test_the_case_of_an_index_with_numbers_above_63_bits(cases, tmp_path, capsys):
    check_damaged_index(cases / "06_idx_overflow", tmp_path, capsys)


def check_damaged_index(folder, tmp_path, capsys):
    assert dataset_info.main([str(folder)]) == 1
    assert "train.idx is not an index" in capsys.readouterr().out
    merge = [
        "--include",
        str(folder),
        "--output",
        str(tmp_path / "m"),
        "--model",
        "",
        "--param1",
        "0",
    ]
    with pytest.raises(InputError, match=r"train\.idx is not an index .*--rebuild"):
        dataset_merge.main(merge)
    assert dataset_info.main([str(folder), "--rebuild", str(tmp_path / "new")]) == 0
    assert dataset_info.main([str(tmp_path / "new"), "--decode"]) == 0


# ------------------------------------------------------------------------------ identities


def write_ungrouped(folder, make_picture, labels):
    """Records as 2018 packed a list: an identity record for each change of the label."""
    with FaceRecordWriter(folder / "train.rec") as writer:
        for place, label in enumerate(labels):
            writer.add_image([place, 1], make_picture((20 * label, 10 * place, 0)))
        for place, label in enumerate(labels):
            writer._writer.change_label(writer._offsets[place], label, 2)
    (folder / "property").write_text(f"{len(set(labels))},16,16")


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 2, 0]])
def test_a_label_in_two_identity_records_has_one_remedy(tmp_path, make_picture, labels, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    write_ungrouped(folder, make_picture, labels)
    check_label_in_two_records(folder, tmp_path, capsys, len(set(labels)))


def test_the_case_of_a_label_in_two_identity_records(cases, tmp_path, capsys):
    check_label_in_two_records(cases / "10_label_in_two_identities", tmp_path, capsys, 6)


def check_label_in_two_records(folder, tmp_path, capsys, people):
    assert dataset_info.main([str(folder)]) == 1
    out = capsys.readouterr().out
    assert out.count("PROBLEM") == 1
    assert "--rebuild NEW_FOLDER" in out
    merge = ["--output", str(tmp_path / "m"), "--model", "", "--param1", "0", "--include"]
    with pytest.raises(InputError, match="would count as two; rebuild it"):
        dataset_merge.main([*merge, str(folder)])
    size = (3, *load_property(str(folder)).image_size)
    with pytest.raises(InputError, match="would count as two; rebuild it"):
        triplet_iter.FaceImageIter(
            3,
            size,
            str(folder / "train.rec"),
            triplet_params=[3, 0.3, 0],
            mx_model=object(),
            ctx_num=1,
        )
    # A classifier learns the labels themselves.
    batches = face_iter.FaceImageIter(2, size, str(folder / "train.rec"))
    assert set(batches.next().label[0].asnumpy()) <= set(range(people))
    assert dataset_info.main([str(folder), "--rebuild", str(tmp_path / "new")]) == 0
    assert dataset_info.main([str(tmp_path / "new")]) == 0
    dataset_merge.main([*merge, str(tmp_path / "new")])
    assert labels_of(tmp_path / "m")[1] == people


@pytest.mark.parametrize("label", [np.nan, np.inf])
def test_labels_that_are_not_finite_are_rejected(make_set, tmp_path, label, capsys):
    folder = Path(make_set("set", [(250, 0, 0), (0, 250, 0)], images=3))
    with FaceRecordWriter(folder / "train.rec") as writer:
        for number in range(6):
            writer.add_image(
                [number // 3, 1], cv2.imencode(".png", np.zeros((16, 16, 3)))[1].tobytes()
            )
        writer._writer.change_label(writer._offsets[1], label, 2)  # the middle one of its identity
    assert dataset_info.main([str(folder)]) == 1
    assert "some labels are not identities" in capsys.readouterr().out
    with pytest.raises(InputError, match="some labels are not identities"):
        dataset_info.main([str(folder), "--rebuild", str(tmp_path / "new")])
    batches = face_iter.FaceImageIter(6, (3, 16, 16), str(folder / "train.rec"))
    with pytest.raises(InputError, match=f"image 2 has label {label}"):
        batches.next()


# ------------------------------------------------------------------------------ formats of photos


@pytest.mark.parametrize("kind", ["webp", "jp2", "tiff", "gif", "bmp"])
def test_aligned_photos_in_formats_that_mxnet_does_not_decode_are_converted(
    tmp_path, kind, make_picture
):
    faces = tmp_path / "al"
    write_faces(faces, 2, make_picture, photos=1)
    Image.new("RGB", (16, 16), (0, 200, 0)).save(faces / "p0" / f"a.{kind}")
    check_converted(faces, tmp_path, "16,16", 3)


def test_the_case_of_webp_among_aligned_photos(cases, tmp_path):
    check_converted(cases / "13_webp" / "al", tmp_path, "112,112", 2)


def check_converted(faces, tmp_path, size, count):
    lst = tmp_path / "train" / "train.lst"
    glint2lst.main([str(faces), "--output", str(lst), "--image-size", size])
    assert face2rec2.main([str(lst.parent)]) == 0
    reader, layout = open_face_records(str(lst.parent))
    with reader:
        contents = [reader.read(index).content for index in layout.image_ids]
    assert len(contents) == count
    for content in contents:
        assert content.startswith((b"\xff\xd8\xff", b"\x89PNG"))
        assert mx.image.imdecode(content).shape[2] == 3


def test_aligned_photos_that_cannot_be_decoded_are_skipped_with_the_reason(
    tmp_path, make_picture, caplog
):
    faces = tmp_path / "al"
    write_faces(faces, 2, make_picture)
    (faces / "p0" / "a.jp2").write_bytes(b"\0\0\0\x0cjP  rubbish")
    (faces / "p1" / "b.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    lst = tmp_path / "train.lst"
    glint2lst.main([str(faces), "--output", str(lst), "--image-size", "16,16"])
    assert face2rec2.main([str(tmp_path)]) == face2rec2.SKIPPED_STATUS
    assert "a.jp2: not a photo of a known format" in caplog.text
    assert (
        "b.heic: a HEIC photo, which needs another package: pip install pillow-heif" in caplog.text
    )


# ------------------------------------------------------------------------------ verification sets


@pytest.mark.parametrize(
    "labels",
    [
        [-1, 1, 1],
        [0, 1, 1],
        [0.0, 1.0, 1.0],
        np.array([-1, 1, 1]),
        np.array([0, 1, 1], np.float32),
        [np.bool_(False), True, True],
        ["0", "1", "1"],
        [b"-1", b"1", b"1"],
        ["False", "true", "True"],
        np.array(["0", "1", "1"]),
    ],
)
def test_labels_of_pairs_are_read_in_any_form(tmp_path, labels, make_picture):
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps(([make_picture((1, 2, 3))] * 6, labels)))
    assert read_bin(path)[1] == [False, True, True]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2, 1], r"the labels of its pairs are 1\.0, 2\.0, not 0 and 1"),
        ([-1, 0, 1], r"the labels of its pairs are -1\.0, 0\.0, 1\.0"),
        ([0.3, 0.9, 0.1], "the labels of its pairs are"),
        ([float("nan"), 1, 0], "the labels of its pairs are"),
        (["same", "no", "no"], "the label of a pair is 'same', not 0 or 1"),
        ([None, 1, 0], "the label of a pair is None"),
        ([[0, 1], [1, 0], [1, 0]], "the label of a pair is"),
    ],
)
def test_other_labels_of_pairs_are_rejected(tmp_path, labels, message, make_picture, capsys):
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps(([make_picture((1, 2, 3))] * 6, labels)))
    with pytest.raises(InputError, match=message):
        read_bin(path)
    assert dataset_info.main([str(path)]) == 1
    assert "PROBLEM" in capsys.readouterr().out


def test_pixels_instead_of_encoded_pictures_are_rejected(tmp_path, capsys):
    path = tmp_path / "a.bin"
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    for images in (pixels, list(pixels)):
        path.write_bytes(pickle.dumps((images, [True])))
        with pytest.raises(InputError, match=r"an array of pixels of shape \(8, 8, 3\)"):
            read_bin(path)
    path.write_bytes(pickle.dumps(([pixels[0].tobytes()] * 2, [True])))
    assert dataset_info.main([str(path)]) == 1
    assert "2 images are neither JPEG nor PNG: 0, 1" in capsys.readouterr().out


def test_the_case_of_labels_minus_one(cases, capsys):
    assert dataset_info.main([str(cases / "14_bin_labels" / "minus1.bin")]) == 0
    assert "40 pairs, 20 same" in capsys.readouterr().out
