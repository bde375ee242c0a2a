"""The published MobileFaceNet on LFW's development pairs, aligned and packed by this project."""

import json
import os
import re
import shlex

import pytest

from src import train_softmax
from src.align import align_megaface
from src.data import face2rec2, glint2lst, lfw2pack
from src.data.pairs import find_picture, read_pairs
from src.eval import verification

WANTED = 0.988  # on the standard 6,000 pairs the 2018 scripts gave 0.9912 to 0.9945
MOST_LOST = 0.003  # by 100 steps of fine-tuning with README's flags


def link_needed_photos(faces, folder):
    """Links the photographs of the pairs into `folder/<person>`; returns their number."""
    pictures = {
        picture for pair in read_pairs(faces / "pairsDevTest.txt") for picture in pair.pictures
    }
    count = 0
    for person, number in sorted(pictures):
        photo = find_picture(str(faces / "lfw"), (person, number))
        if photo:
            os.makedirs(folder / person, exist_ok=True)
            os.symlink(photo, folder / person / os.path.basename(photo))
            count += 1
    return count


def align(photos, output):
    # With the first face, as in 2018, bystanders lower the accuracy to 0.976.
    flags = ["--name", "lfw", "--face", "central", "--output-dir", str(output)]
    align_megaface.main(["--input-dir", str(photos), *flags])


@pytest.fixture(scope="module")
def pairs_folder(shared, tmp_path_factory):
    """Folder of dev.bin; 1,548 of the 1,549 photographs exist, so one pair is left out."""
    folder = tmp_path_factory.mktemp("pairs")
    faces = shared / "faces"
    assert link_needed_photos(faces, folder / "lfw") == 1548
    align(folder / "lfw", folder / "aligned")
    pairs = ["--pairs", str(faces / "pairsDevTest.txt"), "--image-size", "112,112"]
    aligned = str(folder / "aligned" / "lfw")
    lfw2pack.main(["--data-dir", aligned, *pairs, "--output", str(folder / "dev.bin")])
    (folder / "property").write_text("200,112,112")
    return folder


def figures(folder, model):
    """The results of a model on these pairs."""
    output = folder / "results.json"
    flags = ["--data-dir", str(folder), "--target", "dev", "--gpu", "-1", "--output", str(output)]
    verification.main([*flags, "--model", model])
    return json.loads(output.read_text())["targets"]["dev"]


@pytest.fixture(scope="module")
def published(shared):
    return str(shared / "pretrained" / "model-y1-test2" / "model") + ",0"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_accuracy_on_1000_pairs(pairs_folder, published):
    found = figures(pairs_folder, published)
    assert (found["pairs"], found["same_pairs"], found["folds"]) == (999, 500, 10)
    assert found["accuracy_flip"] >= WANTED


def readme_flags(repository):
    """The flags of README's command that fine-tunes a published model."""
    page = (repository / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [
        line for line in page.splitlines()
        if "src.train_softmax" in line and "--pretrained model-y1-test2" in line
        and "models/mine" in line
    ]  # fmt: skip
    (command,) = lines
    return shlex.split(re.sub(r".*src\.train_softmax", "", command))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_readme_s_fine_tuning_keeps_what_the_model_has_learnt(
    repository, shared, pairs_folder, published, tmp_path
):
    faces = shared / "faces"
    for person in (faces / "train_people.txt").read_text().split("\n"):
        if person:
            (tmp_path / "lfw").mkdir(exist_ok=True)
            os.symlink(faces / "lfw" / person, tmp_path / "lfw" / person)
    align(tmp_path / "lfw", tmp_path / "aligned")
    glint2lst.main(
        [str(tmp_path / "aligned" / "lfw"), "--output", str(tmp_path / "set" / "train.lst")]
    )
    face2rec2.main([str(tmp_path / "set")])
    own = ["--data-dir", str(tmp_path / "set"), "--prefix", str(tmp_path / "m"), "--target", ""]
    own += ["--pretrained", published, "--max-steps", "100", "--seed", "1", "--log-file", ""]
    train_softmax.main([*readme_flags(repository), *own])
    before = figures(pairs_folder, published)["accuracy_flip"]
    assert figures(pairs_folder, f"{tmp_path / 'm'},1")["accuracy_flip"] >= before - MOST_LOST
