import errno
import multiprocessing
import os
import time

import pytest

from src.common import output_files
from src.common.errors import InputError
from src.common.locks import only_process
from src.common.output_files import (
    DiskFull,
    full_disk_named,
    unfinished_name,
    whole_file,
    write_files,
)


def test_the_file_gets_its_name_at_the_end(tmp_path):
    path = tmp_path / "deep" / "list.txt"
    with whole_file(path, "w") as file:
        file.write("one\n")
        assert not path.exists()
    assert path.read_bytes() == b"one\n"
    assert os.listdir(path.parent) == ["list.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.params"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.params"]


def test_file_and_folder_are_on_the_disk_before_and_after_the_file_gets_its_name(
    tmp_path, monkeypatch
):
    calls = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: calls.append(os.readlink(f"/proc/self/fd/{fd}")) or flush(fd)
    )
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or rename(*paths))
    with whole_file(tmp_path / "a.rec") as file:
        file.write(b"records")
    assert calls == [str(tmp_path / ".a.rec.part"), "rename", str(tmp_path)]


@pytest.mark.parametrize("name", ["1.jpg", "x" * 249, "x" * 255, "é" * 127])
def test_names_of_unfinished_files_are_hidden_and_never_too_long(tmp_path, name):
    with whole_file(tmp_path / name) as file:
        file.write(b"face")
        assert os.listdir(tmp_path) == [unfinished_name(name)]
        assert unfinished_name(name).startswith(".")
    assert os.listdir(tmp_path) == [name]


def test_the_unfinished_file_of_a_killed_run_is_replaced_with_a_line(tmp_path, caplog):
    path = tmp_path / "train.rec"
    (tmp_path / ".train.rec.part").write_bytes(b"the longer beginning of an earlier run")
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["train.rec"]
    assert f"{path}: the unfinished file of an earlier run is replaced" in caplog.text


def test_a_file_that_another_run_is_writing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(output_files, "PATIENCE", 0.1)
    path = tmp_path / "train.rec"
    with whole_file(path) as first:
        first.write(b"first")
        with pytest.raises(InputError, match="is being written by another run"), whole_file(path):
            pass
    assert path.read_bytes() == b"first"


def test_short_writes_of_the_same_file_wait_for_one_another(tmp_path):
    workers = [
        multiprocessing.get_context("fork").Process(target=_write_slowly, args=(tmp_path, letter))
        for letter in "ab"
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "symbol.json").read_text() in ("aa", "bb")
    assert os.listdir(tmp_path) == ["symbol.json"]


def _write_slowly(folder, letter):
    with whole_file(folder / "symbol.json", "w") as file:
        file.write(letter)
        time.sleep(0.3)
        file.write(letter)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_the_old_file_remains(tmp_path, monkeypatch, number):
    path = tmp_path / "run-resume.state"
    path.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull) as caught, whole_file(path, size=123_456) as file:
        file.write(b"new")
    assert f"no space for {path}, which needs 123,456 bytes: " in str(caught.value)
    assert f"bytes are free in {tmp_path}; the old file is unchanged" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run-resume.state"]


def test_every_file_on_a_full_disk(tiny_disk):
    """Buffered bytes only fail when the file is closed, large ones while they are written."""
    (tiny_disk / "lst").write_text("old\n")
    with open(tiny_disk / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass
    for content in (b"x", bytes(1 << 20)):
        with (
            pytest.raises(DiskFull, match=r"no space for .*/lst: 0 bytes are free"),
            whole_file(tiny_disk / "lst") as file,
        ):
            file.write(content)
    assert sorted(os.listdir(tiny_disk)) == ["filler", "lst"]
    assert (tiny_disk / "lst").read_text() == "old\n"


def test_many_files_get_their_names_after_one_flush(tmp_path, monkeypatch):
    calls = []
    flush, rename = output_files._flush_file_system, os.replace
    monkeypatch.setattr(
        output_files, "_flush_file_system", lambda fd: calls.append("flush") or flush(fd)
    )
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or rename(*paths))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "1.jpg").write_bytes(b"old")
    (tmp_path / "p" / ".1.jpg.part").write_bytes(b"of a killed run, longer than the new one")
    contents = {f"{tmp_path}/p/{number}.jpg": bytes([number]) * 9 for number in range(3)}
    contents |= {f"{tmp_path}/q/{'é' * 125}.jpg": b"long name", f"{tmp_path}/empty": b""}
    write_files(list(contents.items()))
    assert calls == ["flush", *["rename"] * 5, "flush"]
    found = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == contents
    write_files([])
    assert len(calls) == 7


@pytest.mark.parametrize("fails", ["write", "_flush_file_system"])
def test_if_one_of_many_files_fails_none_has_changed(tmp_path, monkeypatch, fails):
    (tmp_path / "a").write_bytes(b"old")
    written = []

    def full(descriptor, content=b""):
        written.append(content)
        if len(written) > (fails == "write"):
            raise OSError(errno.ENOSPC, "full")
        return len(content)

    monkeypatch.setattr(os if fails == "write" else output_files, fails, full)
    with pytest.raises(DiskFull, match=r"no space for .*/b"):
        write_files([(str(tmp_path / "a"), b"new"), (str(tmp_path / "b"), b"new")])
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_many_files_on_a_full_disk(tiny_disk):
    (tiny_disk / "a").write_bytes(b"old")
    contents = [(str(tiny_disk / name), bytes(300_000)) for name in "abcdefghijklmnopqrstuvwxyz"]
    with pytest.raises(DiskFull, match=r"no space for .*, which needs 300,000 bytes"):
        write_files(contents)
    assert os.listdir(tiny_disk) == ["a"]
    assert (tiny_disk / "a").read_bytes() == b"old"


def test_other_errors_of_the_system_are_left_as_they_are(tmp_path):
    with pytest.raises(PermissionError), full_disk_named(tmp_path / "log"):
        raise PermissionError(errno.EACCES, "denied", "log")


def test_only_one_process_at_a_time(tmp_path):
    lock = tmp_path / "models" / ".r50.lock"
    lock.parent.mkdir()
    lock.write_text("process 1 on another-machine, killed\n")
    with only_process(os.fspath(lock), "--prefix r50"):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(InputError) as caught, only_process(os.fspath(lock), "--prefix r50"):
            pass
        assert f"--prefix r50 is being written by another run (process {os.getpid()} on" in str(
            caught.value
        )
    assert not lock.exists()
    with only_process(os.fspath(lock), "--prefix r50"):
        assert lock.exists()
