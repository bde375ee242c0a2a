"""Person folders are read in a fixed order, completely, at one level."""

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
