"""Workers that are killed, and parents that are."""

import os
import signal
import subprocess
import sys
import time

import pytest

BEGINNING = """
import logging, os, signal, sys, time
from src.common.errors import run_command
from src.common.log import configure_logging
from src.common.parallel import ordered_map

def square(number):
    with open(f"{folder}/{number}-{os.getpid()}", "w"):
        pass
    return number**2

def wait(number):
    square(number)
    time.sleep(60)

def main():
    configure_logging()
    for result in ordered_map(FUNCTION, range(8), 2, "test"):
        print(result, flush=True)

if __name__ == "__main__":
    folder = sys.argv[1]
    run_command(main)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the program with one of its functions, in a process group of its own."""

    def start_with(function):
        program = BEGINNING.replace("FUNCTION", function)
        program = program.replace("folder = sys.argv[1]", f"folder = {str(tmp_path)!r}")
        (tmp_path / "calls").mkdir()
        path = tmp_path / "program.py"
        path.write_text(program.replace("{folder}", str(tmp_path / "calls")))
        return subprocess.Popen(
            [sys.executable, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell ignores Ctrl-C in what it starts in the background, such as these tests.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )

    return start_with


def processes(group):
    """Numbers of the living processes of a group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, of, state in rows if int(of) == group and state[0] != "Z"]


def ended(group, seconds=5):
    """Whether all processes of a group end in that time."""
    until = time.monotonic() + seconds
    while processes(group) and time.monotonic() < until:
        time.sleep(0.1)
    return not processes(group)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_ends_the_command_and_its_workers_with_one_line(start, tmp_path, number, status):
    process = start("wait")
    wait_for_work(tmp_path / "calls")
    os.killpg(process.pid, number)  # as a terminal does
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert (process.returncode, out) == (status, "")
    assert err == "interrupted; run the same command again to continue\n"
    assert ended(process.pid)


def test_workers_end_soon_after_their_parent_is_killed(start, tmp_path):
    process = start("wait")
    wait_for_work(tmp_path / "calls")
    process.kill()
    process.wait()
    assert ended(process.pid)
    process.stdout.close()
    process.stderr.close()


def wait_for_work(folder):
    """Waits until both workers are at work."""
    until = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)


def test_a_semaphore_left_by_an_interruption_is_removed_in_silence(tmp_path):
    """A signal can come after it was made and before it is removed at exit."""
    program = """
import os
from joblib.externals.loky.backend import resource_tracker
from src.common.parallel import _signals_only_here

with _signals_only_here():
    resource_tracker.register("/loky-left", "semlock")
    os._exit(130)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,  # the tracker holds stderr too: `run` waits for its end
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (ran.returncode, ran.stderr) == (130, "")
