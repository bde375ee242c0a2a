"""Walking person folders: fixed order, nothing lost, one level."""

import pytest

from src.common.errors import InputError
from src.data.person_folders import name_some, printable, read_person_folders


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_and_files_are_sorted_and_strays_told(tmp_path):
    fill(tmp_path, "b/2.jpg", "b/10.jpg", "a/x/1.jpg", "a/0.jpg", "loose.txt")
    (tmp_path / "c").mkdir()
    folders, strays = read_person_folders(str(tmp_path))
    assert folders == [
        ("a", ["a/0.jpg", "a/x/1.jpg"]), ("b", ["b/10.jpg", "b/2.jpg"]), ("c", []),
    ]  # fmt: skip
    assert strays == ["loose.txt"]


def test_a_level_too_many_is_refused(tmp_path):
    fill(tmp_path, "set/a/1.jpg", "set/b/1.jpg", "lst")
    with pytest.raises(InputError, match=r"a level deeper than <person>/<photo>: name .*/set inst"):
        read_person_folders(str(tmp_path))
    # A person's albums, or one person, are no people.
    fill(tmp_path, "set/loose.jpg")
    assert len(read_person_folders(str(tmp_path))[0]) == 1


def test_one_album_is_no_person(tmp_path):
    fill(tmp_path, "a/album/1.jpg", "a/album/2.jpg")
    assert read_person_folders(str(tmp_path))[0][0].name == "a"


def test_names_for_a_line_of_a_log():
    assert printable("张\t\udcff") == "张\\t\\udcff"
    assert name_some(["a", "b"]) == "a, b"
    assert name_some(list("abcdefg"), most=2) == "a, b and 5 more"
