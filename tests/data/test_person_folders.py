"""Person folders are read in a fixed order, completely, at one level."""

import os

import pytest

from src.common.errors import InputError
from src.data.person_folders import printable, printable_list, read_person_folders


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_and_files_are_sorted_and_other_files_returned(tmp_path):
    fill(tmp_path, "b/2.jpg", "b/10.jpg", "a/x/1.jpg", "a/0.jpg", "loose.txt")
    (tmp_path / "c").mkdir()
    folders, strays = read_person_folders(str(tmp_path))
    assert folders == [
        ("a", ["a/0.jpg", "a/x/1.jpg"]), ("b", ["b/10.jpg", "b/2.jpg"]), ("c", []),
    ]  # fmt: skip
    assert strays == ["loose.txt"]


def test_photos_one_level_too_deep_are_an_error(tmp_path):
    fill(tmp_path, "set/a/1.jpg", "set/b/1.jpg", "lst")
    with pytest.raises(
        InputError, match=r"one level deeper than <person>/<photo>; pass .*/set instead"
    ):
        read_person_folders(str(tmp_path))
    # One file directly in the folder makes it a person with albums.
    fill(tmp_path, "set/loose.jpg")
    assert len(read_person_folders(str(tmp_path))[0]) == 1


def test_a_person_with_one_album_is_one_person(tmp_path):
    fill(tmp_path, "a/album/1.jpg", "a/album/2.jpg")
    assert read_person_folders(str(tmp_path))[0][0].name == "a"


def test_names_are_printable():
    assert printable("张\t\udcff") == "张\\t\\udcff"
    assert printable_list(["a", "b"]) == "a, b"
    assert printable_list(list("abcdefg"), shown=2) == "a, b and 5 more"


def test_folders_of_people_next_to_people_are_reported(tmp_path, caplog):
    fill(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg", "val/d/1.jpg", "e/1.jpg")
    folders, _ = read_person_folders(str(tmp_path))
    assert [folder.name for folder in folders] == ["e", "train", "val"]
    assert "2 folders have photos only in folders of their own" in caplog.text
    assert "train, val; if their folders are people" in caplog.text


def test_the_advice_for_a_zip_from_a_mac_names_the_photos(tmp_path):
    fill(tmp_path, "faces/a/1.jpg", "faces/b/1.jpg", "__MACOSX/faces/._a", ".DS_Store")
    with pytest.raises(InputError, match=r"one level deeper .*; pass .*/faces instead"):
        read_person_folders(str(tmp_path))


def test_a_folder_that_cannot_be_read_is_not_an_empty_person(tmp_path, monkeypatch, caplog):
    fill(tmp_path, "a/1.jpg", "secret/1.jpg")
    scandir = os.scandir

    def forbidden(path):
        if os.path.basename(path) == "secret":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    folders, _ = read_person_folders(str(tmp_path))
    assert [folder.name for folder in folders] == ["a"]
    assert "1 folders that cannot be read (check their permissions) are skipped: secret" in (
        caplog.text
    )
