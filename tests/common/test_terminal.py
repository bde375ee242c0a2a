"""Escape sequences and invalid bytes in names do not reach the terminal."""

import subprocess
import sys


def output_of(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True)


def test_an_error_is_one_line_without_control_characters():
    done = output_of(
        "from src.common.errors import InputError, run_command\n"
        "def main(): raise InputError('a\\x1b[2J\\nb\\udcff\\x9b')\n"
        "run_command(main)\n"
    )
    assert done.returncode == 2
    assert done.stderr == b"error: a\\x1b[2J\\nb\\udcff\\x9b\n"


def test_log_lines_are_escaped_too_but_keep_tabs():
    done = output_of(
        "import logging\n"
        "from src.common.log import configure_logging\n"
        "configure_logging()\n"
        "logging.info('Speed\\t%s', '\\x1b]0;title\\x07')\n"
    )
    assert done.stderr == b"INFO:root:Speed\t\\x1b]0;title\\x07\n"


def test_a_path_that_is_not_utf8_can_be_printed():
    done = output_of(
        "from src.common.errors import run_command\nrun_command(lambda: print('a\\udcff'))\n"
    )
    assert (done.returncode, done.stdout) == (0, b"a\\udcff\n")
