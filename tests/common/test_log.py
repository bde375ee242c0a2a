"""What is printed and logged also goes to the file."""

import logging
import sys

import pytest

from src.common.errors import InputError
from src.common.log import appended_log


def test_prints_and_log_lines_are_appended(tmp_path, capsys, caplog):
    path = tmp_path / "logs" / "train.log"
    with caplog.at_level(logging.INFO):
        for number in range(2):
            with appended_log(str(path)):
                print("saving", number)
                logging.getLogger().info("Epoch[%d]", number)
                print("a warning", file=sys.stderr)
    print("afterwards")
    logging.getLogger().warning("afterwards")
    assert path.read_text().splitlines() == [
        "saving 0",
        "INFO:root:Epoch[0]",
        "a warning",
        "saving 1",
        "INFO:root:Epoch[1]",
        "a warning",
    ]
    printed = capsys.readouterr()
    assert printed.out == "saving 0\nsaving 1\nafterwards\n"
    assert printed.err == "a warning\na warning\n"


def test_the_error_that_ends_the_block_is_written(tmp_path):
    path = tmp_path / "train.log"
    with pytest.raises(InputError), appended_log(str(path)):
        raise InputError("property is missing")
    with pytest.raises(ZeroDivisionError), appended_log(str(path)):
        1 / 0  # noqa: B018
    text = path.read_text()
    assert text.startswith("error: property is missing\nTraceback")
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_without_a_path_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with appended_log(""):
        print("seen")
    assert list(tmp_path.iterdir()) == []
