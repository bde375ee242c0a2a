"""Tables and caches that another program, or a killed run, may have written."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from src.common.errors import InputError
from src.data.centre_store import CentreStore
from src.data.name_table import NameTable


@pytest.mark.parametrize(
    "new",
    ["../x", "/tmp/x", "../x/a.jpg", "p/../../x.jpg", "p/a.png", "p", "", "p/.jpg", ".p/a.jpg",
     "p/q/a.jpg", "p\\\\..\\\\x.jpg", "p/a\0.jpg", "p/\x1b[2J.jpg"],
)  # fmt: skip
def test_rows_outside_of_the_folder_are_rejected(tmp_path, new):
    path = tmp_path / "names.tsv"
    path.write_text(f"old\tnew\tstate\np/b\tp/b.jpg\tdone\np/a\t{new}\tdone\n")
    with pytest.raises(InputError, match=r"names\.tsv: line 3: the new name"):
        NameTable.read(str(path))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("p/c\tp/B.jpg\tdone", "used twice"),
        ("../a\tp/a.jpg\tdone", "old name"),
        ("/a\tp/a.jpg\tdone", "old name"),
        ("p/a\tp/a.jpg\tready", "state"),
    ],
)
def test_other_rows_are_rejected(tmp_path, row, why):
    path = tmp_path / "names.tsv"
    path.write_text(f"old\tnew\tstate\np/b\tp/b.jpg\tdone\n{row}\n")
    with pytest.raises(InputError, match=why):
        NameTable.read(str(path))


def zeros(path, **changed):
    arrays = {"centres": np.zeros((2, 4)), "bad": np.zeros(1, np.int64), **changed}
    with open(path, "wb") as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


@pytest.fixture
def store(tmp_path, monkeypatch):
    path = tmp_path / "centres-0.npz"
    monkeypatch.setattr(CentreStore, "_path", lambda self, face_set: str(path))
    store = CentreStore(str(tmp_path), "model,1", ((112, 112), 1))
    face_set = SimpleNamespace(ranges=[(1, 2), (2, 3)])
    return store, face_set, path


def test_damaged_centres_are_computed_again_with_a_message(store, caplog):
    store, face_set, path = store
    contents = [b"", b"PK", b"\x93NUMPY"]
    zeros(path)
    whole = path.read_bytes()
    assert store.load(face_set)[0].shape == (2, 4)
    contents += [whole[: len(whole) // 2], whole[:-1]]
    for arrays in (
        {"centres": np.zeros((3, 4))},
        {"centres": np.zeros(2)},
        {"centres": np.full((2, 4), np.nan)},
        {"centres": np.array([["a"], ["b"]])},
        {"centres": None},
        {"centres": np.array([[{}], [[]]], object)},
        {"bad": np.zeros((1, 1))},
    ):
        zeros(path, **arrays)
        contents.append(path.read_bytes())
    for content in contents:
        path.write_bytes(content)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert store.load(face_set) is None
        assert "centres-0.npz is damaged" in caplog.text
        assert "computed again" in caplog.text


def test_missing_centres_need_no_message(store, caplog):
    store, face_set, _ = store
    assert store.load(face_set) is None
    assert not caplog.text
