"""The published MobileFaceNet on LFW's development pairs, aligned and packed by this project."""

import json
import os

import pytest

from src.align import align_megaface
from src.data import lfw2pack
from src.data.pairs import find_picture, read_pairs
from src.eval import verification

WANTED = 0.988  # on the standard 6,000 pairs the 2018 scripts gave 0.9912 to 0.9945


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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_accuracy_on_1000_pairs(shared, tmp_path):
    """1,548 of the 1,549 photographs are available, so one pair is left out."""
    faces = shared / "faces"
    assert link_needed_photos(faces, tmp_path / "lfw") == 1548
    aligned = tmp_path / "aligned"
    # With the first face, as in 2018, bystanders lower it to 0.976.
    align_megaface.main(
        [
            "--input-dir",
            str(tmp_path / "lfw"),
            "--name",
            "lfw",
            "--face",
            "central",
            "--output-dir",
            str(aligned),
        ]
    )
    lfw2pack.main(
        [
            "--data-dir",
            str(aligned / "lfw"),
            "--pairs",
            str(faces / "pairsDevTest.txt"),
            "--image-size",
            "112,112",
            "--output",
            str(tmp_path / "dev.bin"),
        ]
    )
    (tmp_path / "property").write_text("200,112,112")
    output = tmp_path / "results.json"
    verification.main(
        [
            "--data-dir",
            str(tmp_path),
            "--target",
            "dev",
            "--gpu",
            "-1",
            "--output",
            str(output),
            "--model",
            str(shared / "pretrained" / "model-y1-test2" / "model") + ",0",
        ]
    )
    figures = json.loads(output.read_text())["targets"]["dev"]
    assert (figures["pairs"], figures["same_pairs"], figures["folds"]) == (999, 500, 10)
    assert figures["accuracy_flip"] >= WANTED
