"""Folders as people have them: hidden files, pipes, links, folders that nobody may read."""

import os

import pytest

from src.common import photos
from src.common.errors import InputError
from src.common.folders import HIDDEN, LINKS, SPECIAL, UNREADABLE, FolderScan, reported_scan


@pytest.fixture
def odd(tmp_path):
    """A folder with two people and one entry of each odd kind."""
    for name in ("b/2.jpg", "b/10.jpg", "b/album/1.jpg", "lst/1.jpg", "__MACOSX/b/._2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    (tmp_path / "b" / ".DS_Store").touch()
    (tmp_path / ".cache").mkdir()
    os.mkfifo(tmp_path / "b" / "pipe.jpg")
    (tmp_path / "b" / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "list.txt").touch()
    return tmp_path


def test_a_listing_has_only_files_and_folders_in_order(odd):
    scan = FolderScan(str(odd))
    assert scan.entries() == (["b", "lst"], ["list.txt"])
    assert scan.entries("b") == (["album", "loop"], ["10.jpg", "2.jpg"])
    assert scan.passed_over == {
        HIDDEN: [".cache", "__MACOSX", "b/.DS_Store"],
        SPECIAL: ["b/broken.jpg", "b/pipe.jpg"],
    }


def test_a_walk_follows_no_links(odd, caplog):
    with reported_scan(str(odd)) as scan:
        assert scan.files_below("b") == ["b/10.jpg", "b/2.jpg", "b/album/1.jpg"]
    assert scan.passed_over[LINKS] == ["b/loop"]
    assert f"{odd}: 1 {LINKS} are skipped: b/loop" in caplog.messages
    assert f"{odd}: 2 {SPECIAL} are skipped: b/broken.jpg, b/pipe.jpg" in caplog.messages


def test_a_folder_that_cannot_be_read_is_reported(odd, monkeypatch, caplog):
    """Root may read everything, so the error is simulated."""
    scandir = os.scandir

    def forbidden(path):
        if os.path.basename(path.rstrip("/")) in ("lst", "album"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with reported_scan(str(odd)) as scan:
        assert scan.entries("lst") == ([], [])
        assert not scan.is_readable("lst")
        assert scan.files_below("b") == ["b/10.jpg", "b/2.jpg"]
    assert f"{odd}: 2 {UNREADABLE} are skipped: lst, b/album" in caplog.messages
    with pytest.raises(PermissionError):
        FolderScan(str(odd / "lst")).entries()


def test_a_pipe_is_never_opened(odd):
    with pytest.raises(InputError, match=r"pipe\.jpg: not an ordinary file"):
        photos.read_photo(odd / "b" / "pipe.jpg")
    with pytest.raises(InputError, match="/dev/zero: not an ordinary file"):
        photos.read_photo("/dev/zero")
