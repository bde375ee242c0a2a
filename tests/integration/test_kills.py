"""Commands that are killed at random moments and run again give what one run gives.

`KILLS=20` kills each command that often instead of once.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

KILLS = int(os.environ.get("KILLS", "1"))
TIMEOUT = 60 + 30 * KILLS

YOUNG = [
    "--network", "y1", "--version-output", "GDC", "--emb-size", "32", "--target", "",
    "--seed", "1", "--ckpt", "2", "--verbose", "2", "--resume",
]  # fmt: skip
TRIPLETS = [
    "--per-batch-size", "6", "--triplet-alpha", "1.5", "--triplet-bag-size", "12",
    "--images-per-identity", "3", "--lr", "0.001", "--max-steps", "7",
]  # fmt: skip
# Notes on the way, whose lines depend on it; no later step takes them for a result.
NOTES = {"lst.journal"}


def write_photos(folder, portrait, people, photos):
    """Writes photos of one face for a number of people; half of them must be converted."""
    for person in range(people):
        (folder / f"person {person}").mkdir(parents=True)
        for number in range(photos):
            view = portrait[number : 300 + number, 90 + 4 * person : 380, ::-1]
            suffix = ".png" if number % 2 else ".jpg"
            cv2.imwrite(str(folder / f"person {person}" / f"photo {number}{suffix}"), view)
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Folder of 6 people with 20 aligned pictures each, their list, and pairs of them."""
    folder = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    lines, pairs = [], ["10\t6"]
    for person in range(6):
        name = f"p{person}"
        (folder / "aligned" / name).mkdir(parents=True)
        for number in range(1, 21):
            picture = cv2.resize(generator.integers(0, 256, (14, 14, 3), np.uint8), (112, 112))
            path = folder / "aligned" / name / f"{name}_{number:04d}.jpg"
            cv2.imwrite(str(path), picture)
            lines.append(f"1\t{path}\t{person}")
        other = f"p{(person + 1) % 6}"
        pairs += [f"{name}\t{n}\t{n + 10}" for n in range(1, 11)]
        pairs += [f"{name}\t{n}\t{other}\t{n}" for n in range(1, 11)]
    (folder / "train.lst").write_text("\n".join(lines) + "\n")
    (folder / "property").write_text("6,112,112\n")
    (folder / "pairs.txt").write_text("\n".join(pairs) + "\n")
    return folder


def start(module, arguments, log):
    """Starts a command as a process group of its own; its output goes to a file."""
    command = [sys.executable, "-m", f"src.{module}", *map(str, arguments)]
    with open(log, "wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def finish(module, arguments, log):
    """Runs a command, which must succeed."""
    assert start(module, arguments, log).wait() == 0, log.read_text()


def contents(folder):
    """Bytes of each file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOTES
    }


def check(module, make_arguments, tmp_path, fixed=()):
    """Compares one undisturbed run with one that is killed `KILLS` times on the way.

    Parameters
    ----------
    make_arguments
        Takes the folder for the outputs; returns the arguments.
    fixed
        Files of the output folder that are inputs: (name, content).
    """
    moments = random.Random(module)
    output = tmp_path / "out"

    def prepare():
        output.mkdir()
        for name, content in fixed:
            (output / name).write_text(content)

    prepare()
    begun = time.monotonic()
    finish(module, make_arguments(output), tmp_path / "log")
    seconds = time.monotonic() - begun
    expected = contents(output)
    assert len(expected) > len(fixed)
    output.rename(tmp_path / "expected")  # the lists contain paths of the output folder
    prepare()
    tried = []
    for _ in range(KILLS):
        process = start(module, make_arguments(output), tmp_path / "log")
        tried.append(moments.uniform(0.2, 1.0) * seconds)
        try:
            process.wait(timeout=tried[-1])
        except subprocess.TimeoutExpired:
            if moments.random() < 0.5:
                process.kill()  # its workers notice on their own
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finish(module, make_arguments(output), tmp_path / "log")
    found = contents(output)
    assert sorted(found) == sorted(expected), tried
    assert [name for name in found if found[name] != expected[name]] == [], tried


@pytest.mark.timeout(TIMEOUT)
def test_rename(portrait, tmp_path):
    photos = write_photos(tmp_path / "photos", portrait, people=5, photos=40)
    check("data.rename_photos", lambda out: ["--input-dir", photos, "--output-dir", out], tmp_path)


@pytest.mark.timeout(TIMEOUT)
def test_align(portrait, tmp_path):
    photos = write_photos(tmp_path / "photos", portrait, people=3, photos=6)
    flags = ["--input-dir", photos, "--name", "webface", "--num-workers", 2]
    check("align.align_megaface", lambda out: [*flags, "--output-dir", out], tmp_path)


@pytest.mark.timeout(TIMEOUT)
def test_pack(faces, tmp_path):
    fixed = [(name, (faces / name).read_text()) for name in ("train.lst", "property")]
    check("data.face2rec2", lambda out: [out, "--num-thread", 2], tmp_path, fixed)


@pytest.mark.timeout(TIMEOUT)
def test_pack_pairs(faces, tmp_path):
    flags = ["--data-dir", faces / "aligned", "--pairs", faces / "pairs.txt"]
    check("data.lfw2pack", lambda out: [*flags, "--output", out / "lfw.bin"], tmp_path)


@pytest.mark.timeout(TIMEOUT)
def test_merge(learnable_set, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(learnable_set, copy)
    flags = ["--include", f"{learnable_set},{copy}", "--model", "", "--param1", 0]
    check("data.dataset_merge", lambda out: [*flags, "--output", out], tmp_path)


@pytest.mark.timeout(TIMEOUT)
def test_train_softmax(learnable_set, tmp_path):
    flags = ["--data-dir", learnable_set, *YOUNG, "--per-batch-size", 8, "--max-steps", 9]
    check("train_softmax", lambda out: [*flags, "--prefix", out / "m"], tmp_path)


@pytest.mark.timeout(TIMEOUT)
def test_train_triplet(learnable_set, tmp_path):
    flags = ["--data-dir", learnable_set, *YOUNG, *TRIPLETS]
    check("train_triplet", lambda out: [*flags, "--prefix", out / "m"], tmp_path)
