"""Commands and imports as in scripts of 2018."""

import os
import subprocess
import sys

import pytest

PLACES = [
    ("src", "train_softmax.py"),
    ("src", "train_triplet.py"),
    ("src/align", "align_megaface.py"),
    ("src/data", "glint2lst.py"),
    ("src/data", "face2rec2.py"),
    ("src/data", "dataset_merge.py"),
    ("src/data", "lfw2pack.py"),
    ("src/eval", "verification.py"),
]


def run(repository, folder, *words):
    """Runs Python in a folder, as a shell does, without the checkout on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=repository / folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("folder", "script"), PLACES)
def test_a_script_runs_in_its_own_folder(repository, folder, script):
    done = run(repository, folder, "-u", script, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_a_script_in_its_folder_reports_an_empty_list(repository, tmp_path):
    (tmp_path / "train.lst").write_text("")
    done = run(repository, "src/data", "-u", "face2rec2.py", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "train.lst" in done.stderr


def test_modules_run_and_import_from_anywhere(repository, tmp_path):
    done = run(repository, tmp_path, "-m", "src.eval.verification", "--help")
    assert done.returncode == 0, done.stderr
    done = run(repository, tmp_path, "-c", "from src.eval import verification as v; print(v.LFold)")
    assert done.returncode == 0, done.stderr
