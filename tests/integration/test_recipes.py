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


# An environment in which both OpenCV packages own the folder cv2, as they do: it has what was
# unpacked last, and uninstalling either package removes it.
FAKE_PYTHON = """#!/bin/sh
case "$*" in *"import cv2"*) ;; *) exit 0 ;; esac
case "$(cat "$VENV/cv2" 2>/dev/null)" in
    headless) exit 0 ;;
    with-gl) echo "ImportError: libGL.so.1: cannot open shared object file"; exit 1 ;;
    *) echo "ModuleNotFoundError: No module named 'cv2'"; exit 1 ;;
esac
"""
FAKE_PIP = """#!/bin/sh
echo "$*" >>"$VENV/pip.log"
case "$*" in
    "show opencv-python") echo "Version: 4.11.0.86" ;;
    uninstall*)
        for package in opencv-python opencv-python-headless; do
            case " $* " in *" $package "*) rm -f "$VENV/cv2" "$VENV/$package" ;; esac
        done ;;
    *opencv-python-headless==*)
        case "$*" in *--force-reinstall*) rm -f "$VENV/opencv-python-headless" ;; esac
        [ -e "$VENV/opencv-python-headless" ] ||
            { touch "$VENV/opencv-python-headless"; echo headless >"$VENV/cv2"; } ;;
esac
"""


def fake_environment(folder, repository):
    """Writes fake python and pip; returns what to source so that only functions are defined."""
    (folder / "bin").mkdir()
    for name, text in (("python", FAKE_PYTHON), ("pip", FAKE_PIP)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    install = repository / "recipes" / "install.sh"
    return (
        f'repository="{repository}"; sum=$(cksum <"$repository/setup.py" | cut -d" " -f1); '
        f'printf cpu >"$VENV/installed-$sum"; . "{install}"; '
    )


def run_bash(script, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "EXTRAS"}
    return subprocess.run(
        ["bash", "-ec", script],
        env={**environment, **{key: str(value) for key, value in variables.items()}},
        capture_output=True,
        text=True,
    )


def test_without_libgl_the_headless_build_replaces_the_other_each_time(repository, tmp_path):
    """README's second command lets pip unpack opencv-python over the headless build."""
    script = fake_environment(tmp_path, repository) + "ensure_opencv"
    for _ in range(2):
        (tmp_path / "opencv-python").touch()
        (tmp_path / "cv2").write_text("with-gl")
        done = run_bash(script, VENV=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "libGL is missing" in done.stderr
        assert "opencv-python-headless==4.11.0.86" in (tmp_path / "pip.log").read_text()
        assert (tmp_path / "cv2").read_text() == "headless\n"
        assert not (tmp_path / "opencv-python").exists()


def test_an_activated_environment_with_this_package_is_used(repository):
    script = f'. "{repository}/recipes/install.sh"; echo "$VENV"'
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        variables = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "VENV": "", name: sys.prefix}
        assert run_bash(script, **variables).stdout.strip() == sys.prefix


def test_an_environment_of_another_checkout_is_not_used(repository, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    script = f'DRY_RUN=1; . "{repository}/recipes/install.sh"; echo "$VENV"'
    done = run_bash(script, VENV="", CONDA_PREFIX="", VIRTUAL_ENV=tmp_path)
    assert done.stdout.strip() == str(repository / ".venv")


def test_a_dry_run_installs_nothing(run_recipe, tmp_path):
    for name in ("02_align.sh", "quickstart.sh"):
        venv = tmp_path / "venv"
        done = run_recipe(name, "--dry-run", VENV=str(venv), WORK=str(tmp_path / "work"))
        succeed(done)
        assert "installing" not in done.stderr
        assert not venv.exists()
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_python_than_that_of_the_environment_is_an_error(run_recipe, tmp_path):
    """Also in a dry run, and if the environment has been made already."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\ncase "$*" in *print*) echo 3.10 ;; esac\n')
    fake.chmod(0o755)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own == "3.10":
        fake.write_text(fake.read_text().replace("3.10", "3.12"))
    done = run_recipe("01_rename.sh", "--dry-run", PYTHON=str(fake))
    assert done.returncode == 1
    assert f"but {sys.prefix} has {own}: set VENV to another folder, or unset PYTHON" in done.stderr


@pytest.mark.parametrize("before", ["new", "older setup.py"])
def test_a_failed_installation_names_proxy_mirror_and_wheelhouse(repository, tmp_path, before):
    """Also when the package of an older setup.py is installed already."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    failing = "*pip*"
    if before == "new":
        failing += '|*"import os, sys, src"*'
    else:
        (tmp_path / "installed-1").write_text("cpu")
    python.write_text(f'#!/bin/sh\ncase "$*" in {failing}) exit 1 ;; esac\n')
    python.chmod(0o755)
    done = run_bash(f'. "{repository}/recipes/install.sh"', VENV=tmp_path, PYTHON="")
    assert done.returncode == 1
    for word in ("HTTPS_PROXY", "PIP_INDEX_URL", "PIP_FIND_LINKS"):
        assert word in done.stderr


def test_a_read_only_checkout_says_so_or_uses_an_environment_that_has_the_package(
    repository, tmp_path
):
    copy = tmp_path / "checkout"
    copy.mkdir()
    bind = ["mount", "--bind", "-o", "ro", repository, copy]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("cannot mount a read-only copy")
    try:
        script = f'. "{copy}/recipes/install.sh"'
        done = run_bash(script, VENV=tmp_path / "venv", PYTHON="")
        assert done.returncode == 1
        assert f"{copy} is read-only: copy it to a folder where you may write" in done.stderr
        done = run_bash(script, VENV=sys.prefix, PYTHON="")
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "-l", copy], check=True)


@pytest.mark.parametrize(
    ("images", "expected"),
    [(0, "90 --lr 0.02500 --lr-steps 45,63,72"), (331, "206 --lr 0.02500 --lr-steps 103,144,164"),
     (1_000_000, "156250 --lr 0.10000 --lr-steps 78125,109375,125000"),
     (5_822_653, "200000 --lr 0.10000 --lr-steps 100000,140000,160000")],
)  # fmt: skip
def test_schedules_fit_the_set_and_say_so(run_recipe, tmp_path, images, expected):
    if images:
        (tmp_path / "train.idx").write_text("1\t0\n" * images)
    batch = 128 if images >= 10_000 else 32
    done = run_recipe("09_train_mobilefacenet_softmax.sh", "--dry-run", DATA_DIR=str(tmp_path))
    succeed(done)
    assert f"--per-batch-size {batch} --max-steps {expected}" in done.stderr
    assert f"batches of {batch} for {images} images; MAX_STEPS and BATCH change that" in done.stderr


def test_schedules_can_be_set_or_be_those_of_the_note(run_recipe, tmp_path):
    flags = {"DATA_DIR": str(tmp_path), "MODELS": str(tmp_path)}
    steps = {"MAX_STEPS": "50", "BATCH": "7", "TRIPLET_STEPS": "8", "TRIPLET_BAG": "60"}
    done = run_recipe("10_train_mobilefacenet_arcface.sh", "--dry-run", **flags, **steps)
    assert "--per-batch-size 7 --max-steps 50 --lr 0.00546 --lr-steps 25,35,40" in done.stderr
    done = run_recipe("11_train_triplet.sh", "--dry-run", **flags, **steps)
    assert "--per-batch-size 6 --max-steps 8 --triplet-bag-size 60" in done.stderr
    for name in ("08_train_r50_cosineface.sh", "11_train_triplet.sh"):
        done = run_recipe(name, "--dry-run", NOTE="1", **flags)
        assert "the training goes on until you stop it" in done.stderr
        assert "--max-steps" not in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_steps_of_the_readme_as_pasted(repository, tmp_path):
    """In a copy of the checkout, because the block names its folders itself."""
    page = (repository / "README.md").read_text(encoding="utf-8")
    (block,) = (
        block for block in page.split("```bash\n")[1:] if "01_rename.sh" in block.split("```")[0]
    )
    for name in ("recipes", "src", "setup.py"):
        source = repository / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    make_photos(tmp_path / "photos")
    settings = {"MAX_STEPS": "2", "BATCH": "9", "TRIPLET_STEPS": "1", "HELDOUT_PEOPLE": "0.4"}
    done = subprocess.run(
        ["bash", "-e"], input=block.split("```")[0], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "VENV": sys.prefix, "OMP_NUM_THREADS": "1", **settings},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "work" / "report.html").exists()


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
