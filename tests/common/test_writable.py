"""Output paths are checked before the work."""

import pytest

from src.common.errors import InputError
from src.common.writable import check_output_file, check_output_folder


def test_paths_that_can_be_written_leave_no_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.txt").touch()
    for path in ("new.txt", "old.txt", "a/b/new.txt", str(tmp_path / "c" / "new.txt")):
        check_output_file(path, "--output")
    for path in ("new", "a/b", "a/", "."):
        check_output_folder(path, "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


@pytest.mark.parametrize("path", ["/proc/a.txt", "/proc/a/b.txt", "file/a.txt", "gone/a.txt"])
def test_paths_that_cannot_be_written_are_named_with_their_flag(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    for check in (check_output_file, check_output_folder):
        with pytest.raises(InputError, match=rf"^--out {path}: cannot write to .*; choose another"):
            check(path, "--out")


@pytest.mark.parametrize("path", ["", "folder", "folder/", "/dev/null"])
def test_what_is_no_file_is_rejected(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="give the name of a file"):
        check_output_file(path, "--out")
