"""Signals to the real commands, as from Ctrl-C, a job scheduler, and the kernel without memory."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.common.errors import INTERRUPTED, TERMINATED, WORKER_KILLED
from src.formats.face_records import FaceRecordWriter

PATIENCE = 120  # seconds for what takes one or two
INTERRUPTED_LINE = "interrupted; run the same command again to continue\n"


def processes(session):
    """Process → command line, of all processes of a session that still run."""
    running = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(number) == session and state != "Z":
            running[int(folder.name)] = command
    return running


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.02)


class Command:
    """A command of the project in its own session, with its output in files."""

    def __init__(self, folder, *arguments):
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        with open(self.stdout, "w") as stdout, open(self.stderr, "w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", *map(str, arguments)],
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                # A shell ignores Ctrl-C in what it starts in the background, such as these tests.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def workers(self):
        """The worker processes of joblib."""
        found = processes(self.process.pid).items()
        return [pid for pid, command in found if "popen_loky" in command]

    def megabytes(self):
        """How much it has read."""
        (read,) = re.findall(r"rchar: (\d+)", Path(f"/proc/{self.process.pid}/io").read_text())
        return int(read) / 1e6

    def wait_for(self, condition):
        def reached():
            assert self.process.poll() is None, self.stderr.read_text()
            return condition()

        wait_until(reached, "work")

    def end(self):
        """(exit status, what it wrote to stderr), once all its processes are gone."""
        self.process.wait(PATIENCE)
        wait_until(lambda: not processes(self.process.pid), "the end of all processes")
        return self.process.returncode, self.stderr.read_text()

    def kill(self):
        for pid in processes(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def many_links(path, folder, count, ending):
    folder.mkdir(parents=True)
    for number in range(count):
        os.link(path, folder / f"{number:05d}{ending}")


def start_rename(folder):
    picture = np.random.RandomState(0).randint(0, 256, (300, 300, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "one.png"), picture)
    many_links(folder / "one.png", folder / "photos" / "a", 1000, ".png")
    return ("src.data.rename_photos", "--input-dir", folder / "photos", "--output-dir",
            folder / "out", "--num-workers", 2), "out/*/*.jpg"  # fmt: skip


def start_align(folder, portrait, workers=2, count=1000):
    cv2.imwrite(str(folder / "one.jpg"), portrait[:300, 80:380, ::-1])
    many_links(folder / "one.jpg", folder / "photos" / "a", count, ".jpg")
    return ("src.align.align_megaface", "--input-dir", folder / "photos", "--name", "lfw",
            "--output-dir", folder / "out", "--num-workers", workers), "out/*/a/*.jpg"  # fmt: skip


def start_pack(folder, aligned, count=5000):
    size = (112, 112, 3) if aligned else (600, 600, 3)
    picture = np.random.RandomState(0).randint(0, 256, size).astype(np.uint8)
    cv2.imwrite(str(folder / "one.jpg"), picture)
    line = "1\tone.jpg\t0\n"
    if not aligned:
        points = "40 70 55 40 70 50 50 70 90 90".replace(" ", "\t")
        line = f"0\tone.jpg\t0\t0\t0\t110\t110\t{points}\n"
    (folder / "set").mkdir()
    os.link(folder / "one.jpg", folder / "set" / "one.jpg")
    (folder / "set" / "train.lst").write_text(line * (200000 if aligned else count))
    (folder / "set" / "property").write_text("1,112,112\n")
    return ("src.data.face2rec2", folder / "set", "--num-thread", 2), "set/.train.rec.part"


def start_merge(folder):
    (folder / "one").mkdir()
    with FaceRecordWriter(folder / "one" / "train.rec") as writer:
        for number in range(60000):
            writer.add_image([number // 100, 1], b"picture")
    (folder / "one" / "property").write_text("600,112,112\n")
    return ("src.data.dataset_merge", "--include", folder / "one", "--output", folder / "out",
            "--model", "", "--param1", 0), "out/.train.rec.part"  # fmt: skip


def start_lfw2pack(folder):
    picture = np.random.RandomState(0).randint(0, 256, (600, 600, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "one.png"), picture)
    many_links(folder / "one.png", folder / "lfw" / "a", 600, ".png")
    for number in range(600):
        (folder / "lfw" / "a" / f"{number:05d}.png").rename(
            folder / "lfw" / "a" / f"a_{number + 1:04d}.png"
        )
    os.mkdir(folder / "lfw" / "b")
    os.link(folder / "one.png", folder / "lfw" / "b" / "b_0001.png")
    same = "".join(f"a {number} {number + 1}\n" for number in range(1, 600))
    (folder / "pairs.txt").write_text(f"1 599\n{same}" + "a 1 b 1\n" * 599)
    return ("src.data.lfw2pack", "--data-dir", folder / "lfw", "--pairs", folder / "pairs.txt",
            "--output", folder / "lfw.bin"), None  # fmt: skip


@pytest.fixture(
    params=["rename", "align", "align, 1", "pack", "pack, threads", "merge", "lfw2pack"]
)
def running(request, tmp_path, portrait):
    """A command that has begun to write its output."""
    start, *arguments = {
        "rename": (start_rename,),
        "align": (start_align, portrait),
        "align, 1": (start_align, portrait, 1),
        "pack": (start_pack, False),
        "pack, threads": (start_pack, True),
        "merge": (start_merge,),
        "lfw2pack": (start_lfw2pack,),
    }[request.param]
    arguments, made = start(tmp_path, *arguments)
    command = Command(tmp_path, *arguments)
    try:
        command.wait_for(lambda: list(tmp_path.glob(made)) if made else command.megabytes() > 150)
        yield command
    finally:
        command.kill()


@pytest.mark.parametrize(
    ("send", "expected"),
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), INTERRUPTED, id="Ctrl-C"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), TERMINATED, id="SIGTERM"),
        pytest.param(lambda pid: os.killpg(pid, signal.SIGTERM), TERMINATED, id="SIGTERM to all"),
    ],
)
def test_a_signal_ends_a_command_with_one_line(running, send, expected, tmp_path):
    send(running.process.pid)
    sent = time.monotonic()
    status, written = running.end()
    assert time.monotonic() - sent < 5
    assert written == INTERRUPTED_LINE
    assert status == expected
    # A worker that is ended in the middle of a photo leaves a hidden file, which the next run
    # replaces; only face2rec2 leaves unfinished records, which it continues.
    assert not list(tmp_path.rglob("*.idx.part"))


def test_the_photos_of_a_killed_worker_are_repeated(tmp_path):
    """As when the kernel kills one for lack of memory."""
    arguments, made = start_rename(tmp_path)
    command = Command(tmp_path, *arguments)
    try:
        command.wait_for(lambda: list(tmp_path.glob(made)))
        os.kill(command.workers()[0], signal.SIGKILL)
        status, written = command.end()
    finally:
        command.kill()
    assert status == 0, written
    assert "a worker process was killed" in written
    assert "Traceback" not in written
    others = written.splitlines()[1:]
    assert all("the unfinished file of an earlier run is replaced" in line for line in others)
    assert len(list(tmp_path.glob(made))) == 1000
    table = (tmp_path / "out" / "names.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[:3] for line in table] == [
        [f"a/{number:05d}.png", f"0000001/{number + 1:04d}.jpg", "done"] for number in range(1000)
    ]


def test_a_list_is_packed_equally_after_a_worker_was_killed(tmp_path):
    arguments, made = start_pack(tmp_path, aligned=False, count=320)
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = (tmp_path / "set" / "train.rec").read_bytes()
    command = Command(tmp_path, *arguments)
    try:
        command.wait_for(lambda: list(tmp_path.glob(made)) and command.workers())
        os.kill(command.workers()[-1], signal.SIGKILL)
        status, written = command.end()
    finally:
        command.kill()
    assert status == 0, written
    assert "a worker process was killed" in written
    assert written.count("\n") == 1
    assert (tmp_path / "set" / "train.rec").read_bytes() == expected


def test_a_photo_at_which_workers_always_die_is_named_and_the_rest_is_kept(
    tmp_path, portrait, repository
):
    (module, *flags), _ = start_align(tmp_path, portrait, count=24)
    (tmp_path / "dying.py").write_text(DYING)
    script = "import dying; dying.run_command(dying.align_megaface.main)"
    path = os.pathsep.join([str(tmp_path), str(repository), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, flags)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == WORKER_KILLED
    *warnings, error = done.stderr.splitlines()
    assert len(warnings) == 1
    assert error.startswith("error: ")
    assert f"{tmp_path / 'photos/a/00012.jpg'}" in error
    assert "with fewer workers" in error
    journal = (tmp_path / "out" / "lst.journal").read_text().splitlines()
    assert len(journal) == 1 + 12
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, flags)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "12 of 24 photos were already done" in done.stderr
    lines = (tmp_path / "out" / "lst").read_text().splitlines()
    assert [Path(line.split("\t")[1]).name for line in lines] == [
        f"{number:05d}.jpg" for number in range(24)
    ]


DYING = """
import os, signal
from src.align import align_megaface, alignment
from src.common.errors import run_command

align = alignment.align_group

def align_group(jobs, **arguments):
    if any(job.photo.endswith("00012.jpg") for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    return align(jobs, **arguments)

alignment.align_group = align_group
"""
