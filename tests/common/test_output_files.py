import os

import pytest

from src.common.output_files import whole_file


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
