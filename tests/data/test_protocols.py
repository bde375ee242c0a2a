"""Protocols of other data sets, recreated small from their public descriptions."""

import os

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from src.common.errors import InputError
from src.data import lfw2pack
from src.data.protocols import read_protocol
from src.eval.pairs import load_pairs
from src.formats.verification_set import read_bin

FOLDS = 3


@pytest.fixture
def cfp(tmp_path):
    """CFP's folder Protocol for three people with two frontal and two profile pictures each."""
    protocol = tmp_path / "Protocol"
    for side, kind in (("F", "frontal"), ("P", "profile")):
        (protocol).mkdir(exist_ok=True)
        lines = [
            f"{2 * person + number} ../Data/Images/{person + 1:03}/{kind}/{number:02}.jpg\n"
            for person in range(3)
            for number in (1, 2)
        ]
        (protocol / f"Pair_list_{side}.txt").write_text("".join(lines))
    for sides in ("FF", "FP"):
        for fold in range(FOLDS):
            folder = protocol / "Split" / sides / f"{fold + 1:02}"
            folder.mkdir(parents=True)
            (folder / "same.txt").write_text(f"{2 * fold + 1},{2 * fold + 2}\n")
            (folder / "diff.txt").write_text(f"{2 * fold + 1},{(2 * fold + 3) % 6 + 1}\n\n")
    return protocol


def test_cfp(cfp):
    pairs = read_protocol("cfp_fp", str(cfp))
    assert [pair.same for pair in pairs] == [True, False] * FOLDS
    assert pairs[0].pictures == ("001/frontal/01.jpg", "001/profile/02.jpg")
    assert pairs[1].pictures == ("001/frontal/01.jpg", "002/profile/02.jpg")
    assert pairs[5].pictures == ("003/frontal/01.jpg", "001/profile/02.jpg")
    pairs = read_protocol("cfp_ff", str(cfp))
    assert pairs[0].pictures == ("001/frontal/01.jpg", "001/frontal/02.jpg")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "Split/FP/02/same.txt",
            "1,99\n",
            r"same\.txt: line 1: expected two numbers of Pair_list_F",
        ),
        ("Split/FP/02/same.txt", "1\n", r"same\.txt: line 1: expected two numbers"),
        ("Split/FP/02/diff.txt", "1,2,3\n", r"diff\.txt: line 1: expected two numbers"),
        ("Pair_list_P.txt", "1\n", r"Pair_list_P\.txt: line 1: expected `number path`"),
        ("Pair_list_P.txt", "x y.jpg\n", r"Pair_list_P\.txt: line 1: expected `number path`"),
    ],
)
def test_wrong_files_of_cfp(cfp, name, text, message):
    (cfp / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_protocol("cfp_fp", str(cfp))


def test_a_folder_that_is_not_cfps(cfp, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Pair_list_F\.txt"):
        read_protocol("cfp_ff", str(tmp_path))
    os.rename(cfp / "Split", cfp / "Splits")
    with pytest.raises(FileNotFoundError, match=r"Split/FF: no such folder; name CFP's folder"):
        read_protocol("cfp_ff", str(cfp))


@pytest.mark.parametrize("name", ["calfw", "cplfw"])
def test_two_lines_per_pair(tmp_path, name):
    path = tmp_path / "pairs.txt"
    path.write_text("A_1.jpg 1\nA_2.jpg 1\n\nA_1.jpg 0\nB_1.jpg 0\nC_1.jpg 10\nC_2.jpg 10\n")
    pairs = read_protocol(name, str(path))
    assert [pair.same for pair in pairs] == [True, False, True]
    assert [pair.pictures for pair in pairs] == [
        ("A_1.jpg", "A_2.jpg"), ("A_1.jpg", "B_1.jpg"), ("C_1.jpg", "C_2.jpg"),
    ]  # fmt: skip
    assert [pair.line for pair in pairs] == [1, 4, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A_1.jpg 1\nA_2.jpg 0\n", "line 1: expected two lines `picture number` with one number"),
        ("A_1.jpg 1\nA_2.jpg\n", "line 1: expected two lines"),
        ("A_1.jpg same\nA_2.jpg same\n", "line 1: expected two lines"),
        ("A_1.jpg 1\nA_2.jpg 1\nA_3.jpg 1\n", "its last line 3 has no second picture"),
        ("A_1.jpg 1\nA_2.jpg 1\n", "1 pairs, but both same and different ones are needed"),
        ("", "0 pairs, but both"),
    ],
)
def test_wrong_lines(tmp_path, text, message):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_protocol("calfw", str(path))


def write_agedb(path, folds):
    """MATLAB's nesting: a column of structs, each with a cell array of two rows of structs."""
    splits = np.empty((len(folds), 1), object)
    for number, pairs in enumerate(folds):
        cells = np.empty((2, len(pairs)), object)
        for column, pair in enumerate(pairs):
            for row, name in enumerate(pair):
                cells[row, column] = {"name": name, "age": 30.0}
        splits[number, 0] = {"pair": cells}
    savemat(path, {"splits": splits})


def test_agedb(tmp_path):
    path = tmp_path / "04_FINAL_protocol_30_years.mat"
    folds = [
        [("MariaCallas_0_35_f_x", "MariaCallas_3_65_f_x"), ("MariaCallas_0_35_f_x", "Bo_1_30_m_x")],
        [("Bo_1_30_m_x", "Bo_2_60_m_x"), ("Ann_1_20_f_x", "Bo_2_60_m_x")],
    ]
    write_agedb(path, folds)
    pairs = read_protocol("agedb_30", str(path))
    assert [pair.pictures for pair in pairs] == [
        tuple(f"{name}.jpg" for name in pair) for fold in folds for pair in fold
    ]
    assert [pair.same for pair in pairs] == [True, False, True, False]


@pytest.mark.parametrize(
    "content", [{"other": 1}, {"splits": 5}, {"splits": np.zeros((2, 2))}, None]
)
def test_a_file_that_is_not_agedbs(tmp_path, content):
    path = tmp_path / "x.mat"
    path.write_bytes(b"no matlab file")
    if content is not None:
        savemat(path, content)
    with pytest.raises(InputError, match=r"x\.mat is not AgeDB's protocol"):
        read_protocol("agedb_30", str(path))


def test_photos_are_aligned_and_verification_reads_them(cfp, shared, tmp_path, capsys):
    """Three people of LFW in the layout of CFP; a photo without a face is cropped, and counted."""
    people = [
        folder for folder in sorted((shared / "faces" / "lfw").iterdir())
        if len(os.listdir(folder)) >= 4
    ][:3]  # fmt: skip
    images = tmp_path / "Images"
    for number, person in enumerate(people, start=1):
        photos = sorted(person.iterdir())
        for place, name in enumerate(("frontal/01", "frontal/02", "profile/01", "profile/02")):
            path = images / f"{number:03}" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(photos[place])
    os.remove(images / "003" / "profile" / "02.jpg")
    grey = np.full((250, 250, 3), 128, np.uint8)
    cv2.imwrite(str(images / "003" / "profile" / "02.jpg"), grey)
    output = tmp_path / "cfp_fp.bin"
    lfw2pack.main(
        ["--data-dir", str(images), "--protocol", "cfp_fp", "--pairs", str(cfp), "--align",
         "--nfolds", str(FOLDS), "--output", str(output)]
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert "1 photos: centre cropped" in lines
    assert any(line.endswith("photos: face found again around its landmarks") for line in lines)
    contents, issame = read_bin(output)
    assert issame == [True, False] * FOLDS
    decoded = [cv2.imdecode(np.frombuffer(content, np.uint8), 1) for content in contents]
    assert {image.shape for image in decoded} == {(112, 112, 3)}
    (both, _), _ = load_pairs(str(output), (112, 112))
    assert len(both) == 4 * FOLDS


def test_aligned_pictures_of_calfw(tmp_path, capsys):
    random = np.random.RandomState(0)
    for name in ("A_1.jpg", "A_2.jpg", "B_1.jpg"):
        cv2.imwrite(str(tmp_path / name), random.randint(0, 256, (112, 112, 3)))
    (tmp_path / "pairs.txt").write_text("A_1.jpg 1\nA_2.jpg 1\nA_1.jpg 0\nB_1.jpg 0\n")
    lfw2pack.main(
        ["--data-dir", str(tmp_path), "--protocol", "calfw", "--nfolds", "1",
         "--output", str(tmp_path / "calfw.bin")]
    )  # fmt: skip
    contents, issame = read_bin(tmp_path / "calfw.bin")
    assert issame == [True, False]
    assert contents[0] == (tmp_path / "A_1.jpg").read_bytes()
    assert contents[3] == (tmp_path / "B_1.jpg").read_bytes()
