"""Text files of any program are read, or named with their encoding."""

import os
import threading

import pytest

from src.common.errors import InputError
from src.common.text_files import read_lines


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_and_line_ends_are_removed(tmp_path, mark, end, last):
    path = tmp_path / "a.txt"
    path.write_bytes(mark + "né".encode() + end + end + b"\tb " + (end if last else b""))
    assert list(read_lines(path)) == [(1, "né"), (2, ""), (3, "\tb ")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_text("1\tp/a.jpg\t0\n", encoding=encoding)
    with pytest.raises(InputError, match=r"a\.txt is UTF-16 text: save it as UTF-8"):
        list(read_lines(path, "replace"))


def test_other_encodings_are_errors_with_the_line_unless_bytes_are_kept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n\xe9\n")
    with pytest.raises(InputError, match=r"a\.txt: line 2: byte 0xe9 is not UTF-8"):
        list(read_lines(path))
    assert [line for _, line in read_lines(path, "surrogateescape")] == ["a", "\udce9"]
    assert [line for _, line in read_lines(path, "replace")] == ["a", "\N{REPLACEMENT CHARACTER}"]


def test_a_pipe_is_read_once_and_a_missing_file_is_an_error(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("a\nb\n",))
    writer.start()
    assert list(read_lines(path)) == [(1, "a"), (2, "b")]
    writer.join()
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "none"))
    (tmp_path / "empty").touch()
    assert list(read_lines(tmp_path / "empty")) == []
