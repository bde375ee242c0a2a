"""The examples of CONTRIBUTING, run as written, each in one file of `src`."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from src.common.mxnet_backend import mx


@pytest.fixture(scope="module")
def blocks(repository):
    """The code blocks of CONTRIBUTING, by the path in their first line."""
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    assert len(found) == 4
    return dict(found)


@pytest.fixture
def checkout(repository, tmp_path):
    """A folder with a copy of `src`, in which a new file can be added."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "src", tmp_path / "src", ignore=ignored)
    return tmp_path


def run(checkout, *command):
    """stdout and stderr of `python COMMAND` in the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def training_flags(learnable_set, *more):
    return (
        *("--data-dir", learnable_set, "--prefix", "m", "--target", "", "--seed", "1"),
        *("--emb-size", "16", "--per-batch-size", "4", "--max-steps", "2", "--lr", "0.01"),
        *more,
    )


Y1 = ("--network", "y1", "--version-output", "GDC")


def test_a_loss_is_one_file(blocks, checkout, learnable_set):
    path = "src/losses/blend.py"
    (checkout / path).write_text(blocks[path], encoding="utf-8")
    flags = training_flags(learnable_set, *Y1, "--loss-type", 6, "--blend", 0.3)
    printed = run(checkout, "-m", "src.train_softmax", *flags)
    assert "blend=0.3" in printed
    assert "expected loss of an untrained network" in printed
    arrays = mx.nd.load(str(checkout / "m-0001.params"))
    assert arrays["arg:fc7_weight"].shape == (8, 16)
    assert all(np.isfinite(array.asnumpy()).all() for array in arrays.values())
    assert "--blend" in run(checkout, "-m", "src.train_softmax", "--help")
    assert "| 6 | blend |" in run(checkout, "-m", "src.network_info", "--losses")


def test_the_new_margin_matches_its_formula(blocks, checkout):
    path = "src/losses/blend.py"
    (checkout / path).write_text(blocks[path], encoding="utf-8")
    script = """
import numpy as np
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.blend import Blend
cosine = np.cos(np.linspace(0.1, 2.5, 20))
loss = Blend(blend=0.3, margin_m=0.4)
margin = loss.margin(mx.sym.var("cosine"))
(got,) = margin.bind(mx.cpu(), {"cosine": mx.nd.array(cosine)}).forward()
wanted = 0.3 * np.cos(np.arccos(cosine) + 0.4) + 0.7 * (cosine - 0.4)
print("largest difference", np.abs(got.asnumpy() - wanted).max())
(at_right_angle,) = margin.bind(mx.cpu(), {"cosine": mx.nd.zeros(1)}).forward()
print("at 90 degrees", abs(at_right_angle.asscalar() - loss.margin_at_right_angle()))
for settings in ({"blend": 1.5}, {"margin_m": -0.1}, {"margin_s": 0.0}):
    try:
        Blend(**settings)
    except InputError as error:
        print(error)
"""
    printed = run(checkout, "-c", script)
    assert float(re.search(r"largest difference (\S+)", printed)[1]) < 1e-6
    assert float(re.search(r"at 90 degrees (\S+)", printed)[1]) < 1e-6
    for message in ("--blend 1.5: expected 0 to 1", "--margin-m -0.1", "--margin-s 0.0"):
        assert message in printed


def test_a_network_is_one_file(blocks, checkout, learnable_set):
    path = "src/symbols/fplain.py"
    (checkout / path).write_text(blocks[path], encoding="utf-8")
    flags = training_flags(learnable_set, "--network", "q4")
    printed = run(checkout, "-m", "src.train_softmax", *flags)
    assert "num_layers 4" in printed
    arrays = mx.nd.load(str(checkout / "m-0001.params"))
    assert arrays["arg:conv3_weight"].shape == (128, 64, 3, 3)
    table = run(checkout, "-m", "src.network_info", "q4")
    assert re.search(r"^fc1 .* 128 ", table, re.MULTILINE)


def test_a_kind_of_data_set_is_one_file(blocks, checkout, portrait):
    path = "src/formats/photo_sets.py"
    with open(checkout / path, "a", encoding="utf-8") as file:
        file.write("\n\n" + blocks[path])
    for name in ("batch1/ada/1.jpg", "batch2/ada/2.jpg", "batch2/bob/1.jpg"):
        photo = checkout / "photos" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(portrait).save(photo)
    run(
        checkout,
        *("-m", "src.align.align_megaface", "--name", "batches", "--num-workers", "1"),
        *("--input-dir", "photos", "--output-dir", "aligned"),
    )
    lines = (checkout / "aligned/lst").read_text().splitlines()
    assert [line.split("\t")[2] for line in lines] == ["0", "0", "1"]


def test_a_hook_logs_gradient_norms(blocks, checkout, learnable_set):
    path = "train_with_norms.py"
    (checkout / path).write_text(blocks[path], encoding="utf-8")
    printed = run(checkout, path, *training_flags(learnable_set, *Y1))
    line = re.search(r"batch 2: gradient norms (.*)", printed)[1]
    norms = [float(part.split()[1]) for part in line.split(", ")]
    assert len(norms) == 5
    assert norms == sorted(norms, reverse=True)
    assert norms[0] > 0
