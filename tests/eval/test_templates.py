"""Templates against a program that takes one at a time."""

import json

import numpy as np
import pytest

from src.common.errors import InputError
from src.eval import templates


@pytest.fixture
def files(tmp_path):
    """60 pictures in 12 templates with up to 4 media each, and all 66 pairs."""
    draw = np.random.RandomState(0)
    rows = draw.standard_normal((60, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(tmp_path / "e.npy", rows)
    names = [f"img/{number}.jpg" for number in range(60)]
    index = "".join(f"{number}\t{name}\tx\t\n" for number, name in enumerate(names))
    (tmp_path / "e.tsv").write_text("row\tname\tlabel\tnote\n" + index)
    template, medium = draw.randint(0, 12, 60) * 10, draw.randint(0, 4, 60)
    members = list(zip(names, template, medium, strict=True))
    text = "".join(f"{name.removeprefix('img/')} {t} {m}\n" for name, t, m in members)
    (tmp_path / "tid_mid.txt").write_text(text)
    pairs = [(10 * a, 10 * b, int((a + b) % 3 == 0)) for a in range(12) for b in range(a)]
    (tmp_path / "pairs.txt").write_text("".join("{} {} {}\n".format(*pair) for pair in pairs))
    return tmp_path, rows.astype(float), members, pairs


def run(folder):
    templates.main(
        ["--embeddings", str(folder / "e.npy"), "--templates", str(folder / "tid_mid.txt"),
         "--pairs", str(folder / "pairs.txt"), "--output", str(folder / "found.json")]
    )  # fmt: skip
    return json.loads((folder / "found.json").read_text())


def expected_cosines(rows, members, pairs, without=()):
    embeddings = {}
    for template in {t for _, t, _ in members}:
        media = {}
        for row, (name, t, m) in zip(rows, members, strict=True):
            if t == template and name not in without:
                media.setdefault(m, []).append(row)
        total = np.sum([np.mean(pictures, axis=0) for pictures in media.values()], axis=0)
        embeddings[template] = total / np.linalg.norm(total)
    return np.array([embeddings[a] @ embeddings[b] for a, b, _ in pairs])


@pytest.mark.parametrize("block", [templates.BLOCK, 7])
def test_rates_of_all_pairs(files, monkeypatch, capsys, block):
    monkeypatch.setattr(templates, "BLOCK", block)
    folder, rows, members, pairs = files
    found = run(folder)
    cosines = expected_cosines(rows, members, pairs)
    same = np.array([pair[2] for pair in pairs], bool)
    assert (found["templates"], found["pairs"]) == (12, 66)
    (rate,) = found["rates"]  # 44 different pairs cannot measure 1e-2
    different = np.sort(cosines[~same])[::-1]
    assert rate["threshold"] == pytest.approx(different[4], abs=1e-6)
    assert rate["tar"] == pytest.approx(np.mean(cosines[same] > different[4] + 1e-6))
    assert "12 templates, 66 pairs, 22 of the same person" in capsys.readouterr().out


def test_a_picture_without_a_face_is_left_out(files, caplog):
    folder, rows, members, pairs = files
    stored = np.load(folder / "e.npy")
    stored[3] = np.nan
    np.save(folder / "e.npy", stored)
    (rate,) = run(folder)["rates"]
    cosines = expected_cosines(rows, members, pairs, without={members[3][0]})
    same = np.array([pair[2] for pair in pairs], bool)
    assert rate["threshold"] == pytest.approx(np.sort(cosines[~same])[-5], abs=1e-6)
    assert "1 of 60 pictures have no embedding; 0 of 66 pairs are left out" in caplog.text


def test_pairs_of_a_template_without_pictures_are_left_out(files, caplog):
    folder, *_ = files
    with open(folder / "pairs.txt", "a") as file:
        file.write("0 999 1\n")
    assert run(folder)["pairs"] == 66
    assert "1 of 67 pairs are left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pairs.txt", "10 20 1\n10 30 x\n", "expected lines of two templates and 0 or 1"),
        ("pairs.txt", "10 20\n", "expected lines of two templates"),
        ("pairs.txt", "10 20 2\n", "expected lines of two templates"),
        ("pairs.txt", "", "expected lines of two templates"),
        ("pairs.txt", "10 20 1\n", "the same and of different people"),
        ("tid_mid.txt", "1.jpg 1 2\n2.jpg one 2\n", "line 2: expected a picture and the numbers"),
        ("tid_mid.txt", "1.jpg\n", "line 1: expected a picture"),
        ("tid_mid.txt", "other.jpg 1 2\n", "none of its pictures has an embedding"),
    ],
)
def test_wrong_input(files, name, text, message):
    folder, *_ = files
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        run(folder)
