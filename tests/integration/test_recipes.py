"""Runs every recipe in order, with small settings, on a few variations of one photo."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data

PEOPLE, PHOTOS = 5, 6


def make_photos(folder):
    """Writes photos of `PEOPLE` people: one public photo, tinted per person, with varied light."""
    random = np.random.RandomState(0)
    face = Image.fromarray(data.astronaut()).crop((100, 0, 350, 250))
    for person in range(PEOPLE):
        os.makedirs(folder / f"人 {person}")
        tint = 1 - 0.4 * random.rand(3)
        for number in range(PHOTOS):
            angle = random.uniform(-8, 8)
            photo = ImageEnhance.Brightness(face.rotate(angle)).enhance(random.uniform(0.7, 1.2))
            photo = Image.fromarray((np.asarray(photo) * tint).astype(np.uint8))
            photo.save(folder / f"人 {person}" / f"photo {number}.png")
    (folder / "人 0" / "notes.txt").write_text("not a photo")


@pytest.fixture(scope="module")
def run_recipe(repository, tmp_path_factory):
    work = tmp_path_factory.mktemp("recipes")
    make_photos(work / "photos")
    variables = {
        "WORK": str(work),
        "VENV": sys.prefix,
        "HELDOUT_PEOPLE": "0.4",
        "OMP_NUM_THREADS": "1",
    }

    def run(name, *arguments, **overrides):
        script = repository / "recipes" / name
        environment = {**os.environ, **variables, **overrides}
        return subprocess.run(
            ["bash", str(script), *arguments], env=environment, capture_output=True, text=True
        )

    run.work = work
    return run


def succeed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SHORT = ("--max-steps", "2", "--ckpt", "2", "--seed", "1")
CLASSES = ("--per-batch-size", "8", *SHORT)
TRIPLETS = (
    "--per-batch-size", "6", "--images-per-identity", "2", "--triplet-bag-size", "12",
    "--triplet-alpha", "2", *SHORT,
)  # fmt: skip

STEPS = [
    ("01_rename.sh", (), "photos_jpg"),
    ("02_align.sh", ("--num-workers", "1"), "aligned/lst"),
    ("03_list.sh", (), "all.lst"),
    ("04_hold_out.sh", (), "part_2/train.lst"),
    ("05_pack.sh", (), "part_2/train.rec"),
    ("06_merge.sh", (), "merged/train.rec"),
    ("07_pack_pairs.sh", (), "merged/heldout.bin"),
    ("08_train_r50_cosineface.sh", ("--network", "r18", *CLASSES), "models/r50-cosineface"),
    ("09_train_mobilefacenet_softmax.sh", CLASSES, "models/y1-softmax"),
    ("10_train_mobilefacenet_arcface.sh", CLASSES, "models/y1-arcface"),
    ("11_train_triplet.sh", TRIPLETS, "models/y1-triplet"),
    ("12_verify.sh", ("--nfolds", "2"), "results.json"),
    ("13_report.sh", (), "report.html"),
]


@pytest.mark.parametrize(("name", "arguments", "output"), STEPS, ids=[step[0] for step in STEPS])
def test_each_recipe_writes_its_output(run_recipe, name, arguments, output):
    succeed(run_recipe(name, *arguments))
    assert (run_recipe.work / output).exists()
    if output.startswith("models/"):
        assert (run_recipe.work / output / "model-0001.params").exists()


def test_the_list_of_steps_is_complete(repository):
    numbered = {path.name for path in (repository / "recipes").glob("[0-9]*.sh")}
    assert numbered == {step[0] for step in STEPS}


def test_every_photo_is_aligned_or_listed_as_skipped(run_recipe):
    aligned = (run_recipe.work / "aligned" / "lst").read_text().splitlines()
    skipped = (run_recipe.work / "aligned" / "lst.skipped").read_text().splitlines()
    assert len(aligned) + len(skipped) == PEOPLE * PHOTOS


def test_the_report_shows_results_and_commands(run_recipe):
    page = (run_recipe.work / "report.html").read_text()
    results = json.loads((run_recipe.work / "results.json").read_text())
    assert f"{results['targets']['heldout']['accuracy_flip']:.5f}" in page
    for title in ("Aligned faces", "Verification", "Every command"):
        assert title in page
    assert "notes.txt" in page
    assert "src.data.dataset_merge" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_a_dry_run_writes_nothing(run_recipe, tmp_path):
    done = run_recipe("02_align.sh", "--dry-run", WORK=str(tmp_path))
    assert "src.align.align_megaface" in done.stderr
    assert succeed(done) == ""
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_an_error(run_recipe, tmp_path):
    done = run_recipe("12_verify.sh", WORK=str(tmp_path))
    assert done.returncode != 0
    assert "MODEL=prefix,epoch" in done.stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_an_unsupported_python_is_an_error(repository, tmp_path):
    environment = {**os.environ, "PYTHON": "/bin/false", "VENV": str(tmp_path / "venv")}
    done = subprocess.run(
        ["bash", str(repository / "recipes" / "01_rename.sh"), "--dry-run"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "is not a Python 3.10, 3.11 or 3.12" in done.stderr


FAKE_PYTHON = """#!/bin/sh
case "$*" in *"import cv2"*) ;; *) exit 0 ;; esac
[ -e "$VENV/headless" ] || { echo "ImportError: libGL.so.1: no such file"; exit 1; }
"""
FAKE_PIP = """#!/bin/sh
echo "$*" >>"$VENV/pip.log"
[ "$*" != "show opencv-python" ] || echo "Version: 4.11.0.86"
case "$*" in *headless*) touch "$VENV/headless" ;; esac
"""


def test_without_libgl_the_headless_build_of_the_same_version_is_installed(repository, tmp_path):
    (tmp_path / "bin").mkdir()
    for name, text in (("python", FAKE_PYTHON), ("pip", FAKE_PIP)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    install = repository / "recipes" / "install.sh"
    # The package counts as installed, so that sourcing only defines functions.
    script = (
        f'repository="{repository}"; sum=$(cksum <"$repository/setup.py" | cut -d" " -f1); '
        f'printf cpu >"$VENV/installed-$sum"; . "{install}"; ensure_opencv'
    )
    environment = {**os.environ, "VENV": str(tmp_path)}
    environment = {key: value for key, value in environment.items() if key != "EXTRAS"}
    done = subprocess.run(["bash", "-ec", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "libGL is missing" in done.stderr
    assert "opencv-python-headless==4.11.0.86" in (tmp_path / "pip.log").read_text()


def test_lfw_is_found_in_the_data_folder_of_scikit_learn(repository, tmp_path):
    folder = tmp_path / "lfw_home" / "lfw_funneled"
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, str(repository / "recipes" / "lfw_photos.py")],
        env={**os.environ, "SCIKIT_LEARN_DATA": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{folder}\n", done.stderr


def test_a_dry_run_of_quickstart_writes_nothing(run_recipe, tmp_path):
    """A mark left by it would make a later run skip the demo photos."""
    done = run_recipe("quickstart.sh", "--dry-run", WORK=str(tmp_path))
    succeed(done)
    assert "demo_photos.py" in done.stderr
    assert "src.train_triplet" in done.stderr
    assert list(tmp_path.iterdir()) == []
