import errno
import os
import subprocess
import sys

import pytest

from src.common.errors import InputError, run_command


def raising(error):
    def main():
        raise error

    return main


def test_wrong_input_ends_with_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(raising(InputError("train.lst line 3: no label; add one")))
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: train.lst line 3: no label; add one\n"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("x/property: not there"),
        IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "x/property"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x/property"),
    ],
)
def test_errors_of_the_operating_system_end_with_one_line_too(capsys, error):
    with pytest.raises(SystemExit) as caught:
        run_command(raising(error))
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert "x/property" in shown
    assert shown.count("\n") == 1


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ValueError, match="ours"):
        run_command(raising(ValueError("ours")))


def test_success_exits_with_the_status_of_main():
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: None)
    assert caught.value.code is None


def test_during_imports_one_line_replaces_the_traceback():
    script = (
        "from src.common.errors import InputError, show_input_errors\n"
        "show_input_errors()\n"
        "raise InputError('no MXNet; install it')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: no MXNet; install it\n"


def test_a_closed_output_pipe_is_not_an_error():
    command = (
        "from src.common.errors import run_command; run_command(lambda: print('line\\n' * 99999))"
    )
    done = subprocess.run(
        f'"{sys.executable}" -c "{command}" | head -1',
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_printed_names_never_reach_the_terminal_as_they_are():
    """Escape sequences, bytes that are not UTF-8; tabs and letters of any script remain."""
    program = """
import os
from src.common.errors import run_command

def main():
    print("\\x1b[2J", os.fsdecode(b"\\xe9"), "\\u202e", "a\\tJürgen 王", sep="|")
    return 3

run_command(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.stdout.decode() == "\\x1b[2J|\\udce9|\\u202e|a\tJürgen 王\n"
    assert (done.returncode, done.stderr) == (3, b"")
