"""The table of results, as text and as CSV."""

import csv

from src.eval.table import HEAD, table_lines, write_csv


def found(epoch, accuracy, rates):
    return {
        "epoch": epoch, "accuracy": accuracy, "accuracy_std": 0.01,
        "accuracy_flip": accuracy + 0.001, "accuracy_flip_std": 0.02, "best_threshold": 1.5,
        "auc": 0.99, "eer": 0.0125, "xnorm": 11.25, "seconds": 2.0, "tar_at_far": rates,
    }  # fmt: skip


RATES = [{"far": 0.1, "tar": 0.9, "threshold": 1}, {"far": 0.01, "tar": 0.75, "threshold": 1}]
LFW = [found(2, 0.5, RATES), found(1, 0.75, RATES)]
RESULTS = {
    "lfw": {**LFW[1], "models": LFW},
    "own": {**found(2, 0.625, []), "models": [found(2, 0.625, [])]},
}


def test_the_best_of_each_set_is_marked():
    lines = table_lines("models/y1", RESULTS)
    assert lines[0].split() == list(HEAD)
    assert len(lines) == 4
    assert lines[2].split() == [
        "*", "lfw", "models/y1,1", "0.75", "0.01", "0.751", "0.02", "1.5", "0.25", "0.99", "0.0125",
        "0.75", "0.01", "11.25", "2",
    ]  # fmt: skip
    assert [line.startswith("*") for line in lines] == [False, False, True, True]
    starts = {line.index("models/y1") for line in lines[1:]}
    assert starts == {lines[0].index("model")}


def test_csv(tmp_path):
    write_csv(str(tmp_path / "out" / "table.csv"), "m", RESULTS)
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["best"] for row in rows] == ["", "*", "*"]
    assert rows[1]["model"] == "m,1"
    assert float(rows[1]["accuracy_flip"]) == 0.751
    assert (rows[2]["tar"], rows[2]["far"]) == ("", "")
