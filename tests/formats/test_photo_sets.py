"""Data sets of every kind, with other files among the photos."""

import json
import logging

import numpy as np
import pytest

from src.common.errors import InputError
from src.formats import photo_sets


def plant(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def ids_and_labels(dataset):
    return [(item.id, item.classname) for item in dataset]


@pytest.mark.parametrize("name", ["webface", "lfw", "vgg"])
def test_person_folders(tmp_path, name, caplog):
    root = plant(tmp_path, "b/2.jpg", "b/10.jpg", "a a/注.png", "b/note.txt")
    plant(tmp_path, ".git/x", "b/.DS_Store")
    plant(tmp_path, "stray.jpg", "stray2.jpg", "names.tsv", "lst")  # the last two are our own
    (tmp_path / "empty").mkdir()
    with caplog.at_level(logging.WARNING):
        dataset = photo_sets.get_dataset(name, root)
    assert ids_and_labels(dataset) == [
        ("a a/注.png", "0"),
        ("b/10.jpg", "1"),
        ("b/2.jpg", "1"),
        ("b/note.txt", "1"),
    ]
    assert dataset[0].image_path == str(tmp_path / "a a/注.png")
    assert dataset[0].bbox is None
    assert dataset[0].landmark is None
    assert "2 files next to" in caplog.text
    assert "stray.jpg" in caplog.text
    assert "1 person folders" in caplog.text
    assert "empty" in caplog.text


def test_min_images_leaves_persons_without_label(tmp_path):
    root = plant(tmp_path, "a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "c/2.jpg")
    dataset = photo_sets.get_dataset_common(root, min_images=2)
    assert ids_and_labels(dataset) == [
        ("b/1.jpg", "0"),
        ("b/2.jpg", "0"),
        ("c/1.jpg", "1"),
        ("c/2.jpg", "1"),
    ]


def test_facescrub_gives_an_empty_folder_a_label(tmp_path):
    root = plant(tmp_path, "a/1.jpg", "c/1.jpg")
    (tmp_path / "b").mkdir()
    assert ids_and_labels(photo_sets.get_dataset("facescrub", root)) == [
        ("a/1.jpg", "0"),
        ("c/1.jpg", "2"),
    ]


def test_celeb_reads_the_clean_list(tmp_path):
    root = plant(tmp_path / "ms1m", "m.02/1.jpg")
    lines = ["# head", "./m.02/1.jpg", "./m.01/5.jpg", "", "./m.02/9.jpg"]
    (tmp_path / "ms1m_clean_list.txt").write_text("\n".join(lines))
    dataset = photo_sets.get_dataset("celeb", root + "/")
    assert ids_and_labels(dataset) == [
        ("m.02/1.jpg", "0"),
        ("m.01/5.jpg", "1"),
        ("m.02/9.jpg", "0"),
    ]
    assert dataset[1].landmark is None


def test_wrong_clean_list_names_the_line(tmp_path):
    root = plant(tmp_path / "ms1m", "m.02/1.jpg")
    (tmp_path / "ms1m_clean_list.txt").write_text("./m.02/1.jpg\n./m.02/a/b.jpg\n")
    with pytest.raises(InputError, match="line 2"):
        photo_sets.get_dataset("celeb", root)


def test_missing_clean_list(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"_clean_list\.txt is missing"):
        photo_sets.get_dataset("celeb", str(tmp_path))


def test_get_dataset_webface_reads_photo_and_label(tmp_path):
    root = plant(tmp_path / "web", "01\\a b.jpg")
    (tmp_path / "web_clean_list.txt").write_text("01\\a b.jpg 3\n02/x.jpg 4\n")
    dataset = photo_sets.get_dataset_webface(root)
    assert ids_and_labels(dataset) == [("01/a b.jpg", "3"), ("02/x.jpg", "4")]
    (tmp_path / "web_clean_list.txt").write_text("01/x.jpg\n")
    with pytest.raises(InputError, match="line 1"):
        photo_sets.get_dataset_webface(root)


def describe(path, **content):
    path.write_text(json.dumps(content))


def test_megaface_reads_box_and_landmarks_of_the_json(tmp_path, caplog):
    names = ["g1/p1/a.jpg", "g1/p1/b.jpg", "g1/p1/b.jpg.jpg", "g1/p1/c.png", "g2/p0/d.jpg"]
    root = plant(tmp_path, *names)
    points = {"0": {"x": 7, "y": 2}, "1": {"x": 1, "y": 3}, "2": {"x": 4, "y": 5}}
    box = {"x": 10, "y": 20, "width": 30, "height": 40}
    describe(tmp_path / "g1/p1/a.jpg.json", bounding_box=box, landmarks=points)
    describe(tmp_path / "g1/p1/b.jpg.json", bounding_box=box, landmarks={"0": points["0"]})
    (tmp_path / "g2/p0/d.jpg.json").write_text("{broken")
    dataset = photo_sets.get_dataset("megaface", root)
    assert ids_and_labels(dataset) == [
        ("g1/p1/a.jpg", "0"),
        ("g1/p1/b.jpg", "0"),
        ("g2/p0/d.jpg", "1"),
    ]
    np.testing.assert_array_equal(dataset[0].bbox, [10, 20, 40, 60])
    # The photo's left eye is the person's right one.
    np.testing.assert_array_equal(dataset[0].landmark, [[1, 3], [7, 2], [4, 5]])
    assert dataset[0].landmark.dtype == np.float32
    assert dataset[1].landmark is None
    assert dataset[2].bbox is None
    assert "d.jpg.json: not a description" in caplog.text


@pytest.mark.parametrize("width", [float("nan"), float("inf"), 1e9])
def test_an_impossible_box_is_ignored(tmp_path, width, caplog):
    root = plant(tmp_path, "p/a.JPG")
    box = {"x": 1, "y": 1, "width": width, "height": 20}
    describe(tmp_path / "p/a.JPG.json", bounding_box=box)
    assert photo_sets.get_dataset("fgnet", root)[0].bbox is None
    assert "a.JPG.json: not a description of a face" in caplog.text


def test_fgnet_only_lists_endings_in_capitals(tmp_path):
    root = plant(tmp_path, "p/a.JPG", "p/b.jpg")
    describe(tmp_path / "p/a.JPG.json", bounding_box={"x": 1, "y": 1, "width": 2, "height": 2})
    dataset = photo_sets.get_dataset("fgnet", root)
    assert ids_and_labels(dataset) == [(str(tmp_path / "p/a.JPG"), "0")]
    np.testing.assert_array_equal(dataset[0].bbox, [1, 1, 3, 3])


def test_ytf_labels_persons_not_videos(tmp_path):
    root = plant(tmp_path, "a/v1/1.jpg", "a/v2/1.jpg", "b/v1/1.jpg", "b/note.txt")
    dataset = photo_sets.get_dataset("ytf", root)
    assert [(item.image_path[len(root) + 1 :], item.classname) for item in dataset] == [
        ("a/v1/1.jpg", "0"),
        ("a/v2/1.jpg", "0"),
        ("b/v1/1.jpg", "1"),
    ]


def test_clfw_is_one_folder(tmp_path):
    root = plant(tmp_path, "b.jpg", "a.jpg")
    assert ids_and_labels(photo_sets.get_dataset("clfw", root)) == [("a.jpg", "0"), ("b.jpg", "0")]


def test_unknown_kind_and_missing_folder(tmp_path):
    with pytest.raises(InputError, match="expected one of webface, lfw"):
        photo_sets.get_dataset("imagenet", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        photo_sets.get_dataset("lfw", str(tmp_path / "missing"))


def test_a_label_that_is_too_large_is_named(tmp_path):
    root = plant(tmp_path / "set", "a.jpg")
    (tmp_path / "set_clean_list.txt").write_text(f"a.jpg {2**63}\n")
    with pytest.raises(InputError, match=f"label {2**63} of a.jpg is above"):
        photo_sets.get_dataset_webface(root)
