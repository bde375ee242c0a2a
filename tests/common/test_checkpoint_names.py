"""Checkpoints as they are named on the command line."""

import logging

import pytest

from src.common import checkpoint_names
from src.common.errors import InputError


def make(folder, *names):
    """Empty files: only their names count here."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.fixture
def prefix(tmp_path):
    """Prefix of a model with epochs 2, 10 and 10000, beside another model and other files."""
    epochs = ("y1-0010.params", "y1-0002.params", "y1-10000.params", "y1-symbol.json")
    other = ("y1-b-0007.params", "y1-b-symbol.json", "y1-last.params", "y1-0003.params.part")
    make(tmp_path / "models", *epochs, *other)
    return str(tmp_path / "models" / "y1")


def test_parse_model(prefix):
    assert checkpoint_names.parse_model(f"{prefix},2") == (prefix, [2])
    assert checkpoint_names.parse_model(f"{prefix},10|2") == (prefix, [10, 2])
    assert checkpoint_names.parse_model(prefix) == (prefix, [10000, 10, 2])  # the newest first
    assert checkpoint_names.parse_model(f"{prefix}-b") == (f"{prefix}-b", [7])
    assert checkpoint_names.find_epochs(prefix) == [2, 10, 10000]


def test_one_model_of_a_prefix_is_the_newest_and_a_line_says_so(prefix, caplog):
    caplog.set_level(logging.INFO)
    assert checkpoint_names.parse_one_model(f"{prefix},2") == (prefix, 2)
    assert not caplog.messages
    assert checkpoint_names.parse_one_model(prefix, "--pretrained") == (prefix, 10000)
    assert caplog.messages == [
        f"--pretrained {prefix}: the newest checkpoint is taken, {prefix},10000"
    ]
    with pytest.raises(InputError, match=r"^--model .*y1,2\|10: name one epoch, e\.g\. .*y1,10$"):
        checkpoint_names.parse_one_model(f"{prefix},2|10")


def test_a_prefix_may_hold_a_comma(tmp_path):
    make(tmp_path, "a,b-0001.params", "a,b-symbol.json")
    prefix = str(tmp_path / "a,b")
    assert checkpoint_names.parse_model(prefix) == (prefix, [1])
    assert checkpoint_names.parse_model(f"{prefix},1") == (prefix, [1])


def test_a_prefix_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "model-0001.params", "model-symbol.json")
    assert checkpoint_names.parse_model("model") == ("model", [1])


@pytest.mark.parametrize("text", ["", "model,", "model,one", "model,1,x", "model,-1", ",1|"])
def test_what_is_no_model(text):
    with pytest.raises(InputError, match=r"prefix,1\|2\|3"):
        checkpoint_names.parse_model(text)


def test_a_missing_model_names_what_is_there(prefix):
    with pytest.raises(InputError, match=r"no .*y1-0003.params, .*y1-0004.params; .*y1,2") as error:
        checkpoint_names.parse_model(f"{prefix},2|3|4")
    assert "y1-b,7" in str(error.value)
    with pytest.raises(InputError, match=r"no checkpoint .*y2-<epoch>.params; .*y1,10000"):
        checkpoint_names.parse_model(f"{prefix[:-1]}2")
    with pytest.raises(InputError, match=r"no folder .*elsewhere"):
        checkpoint_names.parse_model(f"{prefix}/elsewhere/model,1")
