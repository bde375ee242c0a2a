"""Pictures and table of the wrong pairs, and the dump of embeddings."""

import csv
import pickle

import cv2
import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.eval import badcases

FALSE_NEGATIVE = "positive(false_negative).png"
FALSE_POSITIVE = "negative(false_positive).png"


class AngleModule:
    """A model whose embedding is a unit vector, its angle in degrees the red value."""

    def forward(self, batch, is_train):
        angles = np.deg2rad(batch.data[0].asnumpy()[:, 0, 0, 0])
        self.output = np.stack([np.cos(angles), np.sin(angles)], 1)

    def get_outputs(self):
        return [mx.nd.array(self.output)]


def data_set(pairs, size=(20, 30)):
    """Images (2P,3,H,W) with the given red values, green 10 and blue 200."""
    reds = [red for first, second, _ in pairs for red in (first, second)]
    images = np.empty((len(reds), 3, *size), np.uint8)
    images[:, 0] = np.array(reds)[:, None, None]
    images[:, 1], images[:, 2] = 10, 200
    return [images, images[:, :, :, ::-1]], [same for *_, same in pairs]


EASY = [(0, 5, True), (0, 120, False)] * 8
WRONG = [(0, 100, True), (0, 110, True), (3, 4, False)]


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_worst_pairs_come_first(tmp_path, capsys):
    folder = tmp_path / "bad"
    paths = badcases.test_badcase(
        data_set(EASY + WRONG + EASY), AngleModule(), 4, "lfw", nfolds=3, folder=str(folder)
    )
    assert sorted(paths) == sorted(
        str(folder / name)
        for name in ("lfw_badcases.csv", f"lfw_{FALSE_NEGATIVE}", f"lfw_{FALSE_POSITIVE}")
    )
    rows = read_table(folder / "lfw_badcases.csv")
    assert [row["pair"] for row in rows] == ["17", "16", "18"]
    assert [row["same"] for row in rows] == ["1", "1", "0"]
    assert (rows[0]["first_image"], rows[0]["second_image"]) == ("34", "35")
    assert float(rows[0]["distance"]) == pytest.approx(2 - 2 * np.cos(np.deg2rad(110)), abs=1e-5)
    assert 0 < float(rows[0]["threshold"]) < 1
    picture = cv2.imread(str(folder / f"lfw_{FALSE_NEGATIVE}"))
    assert picture.shape == (20 + 20, 4 * 60 + 3 * 10, 3)
    # BGR; the worst pair comes first, and white follows the last.
    assert picture[0, 0].tolist() == [200, 10, 0]
    assert picture[0, 59].tolist() == [200, 10, 110]
    assert picture[0, 70 + 59].tolist() == [200, 10, 100]
    assert picture[0, 140].tolist() == [255, 255, 255]
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["testing verification badcase..", "2 1"]
    assert out[2].startswith("acc 0.91")


def test_float_ndarrays_as_in_2018_and_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, same = data_set(EASY + WRONG)
    floats = [mx.nd.array(side, dtype=np.float32) for side in images]
    badcases.test_badcase((floats, same), AngleModule(), 4)
    picture = cv2.imread(str(tmp_path / "badcases" / FALSE_POSITIVE))
    assert picture[0, 0].tolist() == [200, 10, 3]


def test_no_wrong_pairs(tmp_path):
    paths = badcases.test_badcase(
        data_set(EASY), AngleModule(), 4, "lfw", nfolds=2, folder=str(tmp_path)
    )
    assert paths == [str(tmp_path / "lfw_badcases.csv")]
    assert read_table(paths[0]) == []


def test_a_picture_that_leaves_pairs_out_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(badcases, "PAIRS_SHOWN", 1)
    rows = data_set(EASY + WRONG + EASY)
    badcases.test_badcase(rows, AngleModule(), 4, nfolds=3, folder=str(tmp_path))
    assert "shows the worst 1 of 2 pairs" in caplog.text
    assert len(read_table(tmp_path / "badcases.csv")) == 3


def test_dump_of_embeddings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert badcases.dumpR(data_set(WRONG), AngleModule(), 2) == "temp.bin"
    embeddings, same = pickle.loads((tmp_path / "temp.bin").read_bytes())
    angles = np.deg2rad([0, 100, 0, 110, 3, 4])
    np.testing.assert_allclose(embeddings, np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-6)
    assert same == [True, True, False]
    assert badcases.dumpR(data_set(WRONG), AngleModule(), 2, path="other.bin") == "other.bin"
    assert (tmp_path / "other.bin").read_bytes() == (tmp_path / "temp.bin").read_bytes()
