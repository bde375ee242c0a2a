"""Pair files: their formats, and an order whose folds contain both kinds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.common.errors import InputError
from src.data.pairs import find_picture, has_mixed_folds, mix_evenly, read_pairs, write_pairs


def write(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", ["\t", " "])
def test_lfw_pairs(tmp_path, separator):
    text = "10 300\nA_B 1 4\nA_B 2 C 12\n".replace(" ", separator)
    same, different = read_pairs(write(tmp_path, text))
    assert same == (2, (("A_B", 1), ("A_B", 4)), True)
    assert different == (3, (("A_B", 2), ("C", 12)), False)


def test_paths_with_spaces_and_no_count(tmp_path):
    pairs = read_pairs(write(tmp_path, "张三/a b.jpg\tc.jpg\t1\n\nd.jpg\te.jpg\t0\n"))
    assert [(pair.line, pair.pictures, pair.same) for pair in pairs] == [
        (1, ("张三/a b.jpg", "c.jpg"), True), (3, ("d.jpg", "e.jpg"), False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10\t300\nA\t1\n", r"pairs\.txt: line 2: expected `person n1 n2`.*got 'A 1'"),
        ("a.jpg\tb.jpg\t2\n", "line 1: expected"),
        ("A 1 B x\n", "line 1: expected"),
        ("500\n", "got 0 same and 0 different"),
        ("A 1 2\nA 1 3\n", "got 2 same and 0 different"),
    ],
)
def test_wrong_files_are_errors(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_pairs(write(tmp_path, text))


def test_written_pairs_are_read_back(tmp_path):
    pairs = [("a \udcff.jpg", "b.jpg", True), ("a.jpg", "c.jpg", False)]
    path = str(tmp_path / "pairs.txt")
    write_pairs(path, pairs)
    assert [(*pair.pictures, pair.same) for pair in read_pairs(path)] == pairs


def test_pictures_are_found_in_either_layout(tmp_path):
    for name in ("A/A_0001.jpg", "A/0002.png", "A/3.jpg", "x y.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = str(tmp_path)
    assert find_picture(folder, ("A", 1)) == f"{folder}/A/A_0001.jpg"
    assert find_picture(folder, ("A", 2)) == f"{folder}/A/0002.png"
    assert find_picture(folder, ("A", 3)) == f"{folder}/A/3.jpg"
    assert find_picture(folder, ("A", 4)) is None
    assert find_picture(folder, "x y.jpg") == find_picture("/", f"{folder}/x y.jpg")


@given(same=st.integers(10, 80), different=st.integers(10, 80), folds=st.integers(2, 10))
def test_mixing_puts_both_kinds_into_every_fold(same, different, folds):
    issame = np.array([True] * same + [False] * different)
    assert same + different == len(issame)
    order = mix_evenly(issame)
    assert sorted(order) == list(range(len(issame)))
    for kind in (True, False):
        # Each kind keeps its own order.
        places = [place for place in order if issame[place] == kind]
        assert places == sorted(places)
    folds_of = np.array_split(issame[order], folds)
    share = same / len(issame)
    for fold in folds_of:
        assert abs(fold.sum() - share * len(fold)) <= 1.5


def test_mixed_folds():
    assert has_mixed_folds([True, False] * 10, 10)
    assert not has_mixed_folds([True] * 10 + [False] * 10, 10)
    standard = ([True] * 300 + [False] * 300) * 10
    assert has_mixed_folds(standard, 10)
