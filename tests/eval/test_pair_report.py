"""The page of a verification: its numbers are those of the results."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from src.eval import pair_report
from src.eval.figures import Measurement, summarize
from src.eval.pair_report import PairReport

PAIRS, FOLDS = 40, 4
SAME = [pair % 2 == 0 for pair in range(PAIRS)]


class Page(HTMLParser):
    """Checks that tags are balanced; collects ids and the cells of tables."""

    EMPTY = frozenset({"meta", "img", "br", "path", "use", "line"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.cells, self.titles = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag in ("td", "h3"):
            (self.cells if tag == "td" else self.titles).append("")

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "h3"):
            (self.cells if self.open[-1] == "td" else self.titles)[-1] += data


def images():
    """uint8 (2P, 3, 8, 8): image i is grey 3i."""
    return np.repeat(3 * np.arange(2 * PAIRS, dtype=np.uint8), 3 * 64).reshape(-1, 3, 8, 8)


def measurement(wrong):
    """Same pairs at distance 0.105 and others at 1.95; those of `wrong` at about the other one."""
    angles = np.zeros(2 * PAIRS)
    for pair in range(PAIRS):
        squared = 0.105 if SAME[pair] else 1.95
        if pair in wrong:
            squared = (1.97 if SAME[pair] else 0.05) + pair / 1000
        angles[2 * pair + 1] = np.arccos(1 - squared / 2)
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Measurement((0.5, 0), (0.5, 0), 1.0, [embeddings, embeddings], 1.0)


def written(path, models, names=("lfw",)):
    """Text of the page, and the wrong pairs' pictures, of models: epoch → wrong pairs."""
    report, results = PairReport(str(path), "models/<m>"), {}
    data_set = [images(), images()], SAME
    for name in names:
        rows = []
        for epoch, wrong in models.items():
            result = measurement(wrong)
            found = {"epoch": epoch, **summarize(result, SAME, FOLDS)}
            found["accuracy_flip"] = 1 - len(wrong) / PAIRS
            rows.append(found)
            report.add(name, data_set, result, found)
        best = max(rows, key=lambda row: row["accuracy_flip"])
        results[name] = {**best, "models": rows}
    report.write(results)
    text = path.read_text()
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    ]
    return text, pictures


def test_the_details_are_those_of_the_best_model(tmp_path):
    text, pictures = written(
        tmp_path / "page.html", {3: {1, 2, 5, 12}, 2: {6, 17, 30}, 1: {4, 8, 9, 11}}
    )
    page = Page(text)
    assert "models/&lt;m&gt;,2" in text
    assert [row for row in page.cells if row.startswith("models/")] == [
        "models/<m>,3", "models/<m>,2", "models/<m>,1",
    ]  # fmt: skip
    assert "best model, epoch 2," in text
    assert page.titles == [
        "Folds", "Rejected pairs of one person: 2", "Accepted pairs of two people: 1",
    ]  # fmt: skip
    folds = page.cells[-6 * (FOLDS + 1) :]
    assert [folds[6 * row] for row in range(FOLDS + 1)] == ["1", "2", "3", "4", "all"]
    assert folds[1::6] == ["10"] * 4 + ["40"]
    assert folds[3::6] == ["0.90000", "0.90000", "1.00000", "0.90000", "0.92500"]
    assert folds[4::6] == ["1", "0", "0", "1", "2"]
    assert folds[5::6] == ["0", "1", "0", "0", "1"]
    # Both images of each wrong pair, side by side; the worst error comes first.
    said = [int(pair) for pair in re.findall(r"<figcaption>pair (\d+)", text)]
    assert said == [30, 6, 17]
    for pair, picture in zip(said, pictures, strict=True):
        assert picture.shape == (8, 16, 3)
        left, right = picture[:, 1:7].mean(), picture[:, 9:15].mean()
        assert (left, right) == (pytest.approx(6 * pair, abs=2), pytest.approx(6 * pair + 3, abs=2))
    assert re.findall(r"pair \d+: (\d\.\d+),", text) == ["2.000", "1.976", "0.067"]


def test_every_id_of_the_charts_is_used_once(tmp_path):
    text, _ = written(tmp_path / "page.html", {1: {2}, 2: {3}}, ("lfw", "agedb_30"))
    ids = Page(text).ids
    assert len(ids) == len(set(ids)) > 20
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids)
    assert text.count('<svg role="img" aria-label="') == 4


def test_long_lists_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_report, "PAIRS_SHOWN", 2)
    monkeypatch.setattr(pair_report, "CURVES_NAMED", 3)
    models = {epoch: {0, 2, 4, 6, epoch} for epoch in (8, 10, 12, 14, 16)}
    text, pictures = written(tmp_path / "page.html", models)
    assert Page(text).titles[1] == "Rejected pairs of one person: the worst 2 of 5"
    assert len(pictures) == 2
    assert len(re.findall("<!-- epoch ", text)) == 3
    assert "and 2 more, grey" in text
