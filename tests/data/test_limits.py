"""Limits are found before the work, and labels with gaps are renumbered."""

import itertools
import os

import numpy as np
import pytest

from src.common.errors import InputError
from src.data import dataset_info, dataset_merge, face2rec2, merging, packing, record_check
from src.data.training_lists import ListedPhotos
from src.formats.face_layout import open_face_records
from src.formats.face_records import check_count
from src.formats.property import load_property
from src.formats.recordio import LARGEST_EXACT


def fail(*_arguments, **_settings):
    raise AssertionError("work was started")


@pytest.mark.parametrize(("images", "identities"), [(17_091_657, 360_232), (10, LARGEST_EXACT)])
def test_a_set_that_is_too_large_names_numbers_and_fix(images, identities):
    with pytest.raises(InputError, match=rf"x: {images} images and .*16777216; divide it"):
        check_count(images, identities, "x")
    check_count(LARGEST_EXACT - 3, 2, "x")
    with pytest.raises(InputError):
        check_count(LARGEST_EXACT - 2, 2, "x")


def test_packing_is_rejected_before_a_photo_is_read(tmp_path, monkeypatch):
    (tmp_path / "train.lst").write_text("1\ta.jpg\t0\n")
    (tmp_path / "property").write_text("1,16,16")
    lines = [(1, "1\ta.jpg\t0")] * (LARGEST_EXACT + 1)
    photos = ListedPhotos(lines, np.zeros(len(lines), np.int64), 0)
    monkeypatch.setattr(packing, "read_listed_photos", lambda path: photos)
    monkeypatch.setattr(packing, "encode_chunk", fail)
    with pytest.raises(InputError, match=r"train\.lst: 16777217 images and 1 identities are too"):
        face2rec2.main([str(tmp_path)])
    assert sorted(os.listdir(tmp_path)) == ["property", "train.lst"]


def test_a_merge_is_rejected_before_anything_is_embedded(make_set, tmp_path, monkeypatch):
    folders = [make_set(name, [(250, 0, 0), (0, 250, 0)]) for name in "ab"]
    opened = merging.open_face_set

    def open_large(folder):
        return opened(folder)._replace(header=(LARGEST_EXACT // 2, LARGEST_EXACT // 2 + 2))

    monkeypatch.setattr(dataset_merge, "open_face_set", open_large)
    monkeypatch.setattr(dataset_merge, "Embedder", fail)
    flags = ["--include", ",".join(folders), "--output", str(tmp_path / "m"), "--model", ""]
    with pytest.raises(
        InputError, match="--include: 16777214 images and 4 identities are too many"
    ):
        dataset_merge.main([*flags, "--param1", "0"])
    dataset_merge.main([*flags, "--param1", "0", "--test", "1"])  # which writes no records


def test_a_rebuild_is_rejected_before_an_image_is_copied(make_set, tmp_path, monkeypatch):
    folder = make_set("set", [(250, 0, 0), (0, 250, 0)])
    monkeypatch.setattr("src.formats.face_records.LARGEST_EXACT", 6)
    monkeypatch.setattr(record_check, "FaceRecordWriter", fail)
    with pytest.raises(InputError, match=r"train\.rec: 4 images and 2 identities are too many"):
        dataset_info.main([folder, "--rebuild", str(tmp_path / "new")])


LABELS = ([0, 5], [7, 3], [0, LARGEST_EXACT + 1], [2**53 + 1, 2**53], [10**18, 0])


# im2rec writes labels as float64.
CASES = [*itertools.product(LABELS, ["own"]), *itertools.product(LABELS[:3], ["im2rec"])]


@pytest.mark.parametrize(("labels", "form"), CASES)
def test_gaps_and_huge_labels_are_renumbered(tmp_path, make_picture, labels, form):
    lines = []
    for number, label in enumerate(labels):
        (tmp_path / f"{number}.png").write_bytes(make_picture((100 * number, 0, 0)))
        ours, theirs = f"1\t{number}.png\t{label}", f"{number}\t{label}.000000\t{number}.png"
        lines.append((theirs if form == "im2rec" else ours) + "\n")
    (tmp_path / "train.lst").write_text("".join(lines))
    (tmp_path / "property").write_text("9,16,16")
    assert face2rec2.main([str(tmp_path)]) == 0
    reader, layout = open_face_records(str(tmp_path))
    with reader:
        found = [reader.read(index).label[0] for index in layout.image_ids]
    assert found == [sorted(labels).index(label) for label in labels]
    assert load_property(str(tmp_path)).num_classes == 2
    table = (tmp_path / "train.labels.tsv").read_text().splitlines()[1:]
    assert table == [f"{label}\t{new}" for new, label in enumerate(sorted(labels))]


def test_labels_beyond_int64_and_too_many_classes_are_rejected(tmp_path):
    (tmp_path / "train.lst").write_text(f"1\ta.jpg\t{2**63}\n")
    (tmp_path / "property").write_text("20000000,16,16")
    with pytest.raises(InputError, match=r"property: .*at most 16777216 classes"):
        face2rec2.main([str(tmp_path)])
    (tmp_path / "property").write_text("2,16,16")
    with pytest.raises(InputError, match=r"line 1: .*expected a label up to 9223372036854775807"):
        face2rec2.main([str(tmp_path)])
