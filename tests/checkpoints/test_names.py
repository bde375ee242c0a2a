"""Checkpoint names on the command line."""

import logging

import pytest

from src.checkpoints.names import find_epochs, parse_model, parse_one_model
from src.common.errors import InputError


def make(folder, *names):
    """Empty files; only their names matter here."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.fixture
def prefix(tmp_path):
    """Prefix of a model with epochs 2, 10 and 10000, next to another model and other files."""
    epochs = ("y1-0010.params", "y1-0002.params", "y1-10000.params", "y1-symbol.json")
    other = ("y1-b-0007.params", "y1-b-symbol.json", "y1-last.params", "y1-0003.params.part")
    make(tmp_path / "models", *epochs, *other)
    return str(tmp_path / "models" / "y1")


def test_parse_model(prefix):
    assert parse_model(f"{prefix},2") == (prefix, [2])
    assert parse_model(f"{prefix},10|2") == (prefix, [10, 2])
    assert parse_model(prefix) == (prefix, [10000, 10, 2])  # the newest first
    assert parse_model(f"{prefix}-b") == (f"{prefix}-b", [7])
    assert find_epochs(prefix) == [2, 10, 10000]


def test_a_prefix_alone_means_the_newest_epoch_which_is_logged(prefix, caplog):
    caplog.set_level(logging.INFO)
    assert parse_one_model(f"{prefix},2") == (prefix, 2)
    assert not caplog.messages
    assert parse_one_model(prefix, "--pretrained") == (prefix, 10000)
    assert caplog.messages == [
        f"--pretrained {prefix}: the newest checkpoint is taken, {prefix},10000"
    ]
    with pytest.raises(InputError, match=r"^--model .*y1,2\|10: name one epoch, e\.g\. .*y1,10$"):
        parse_one_model(f"{prefix},2|10")


def test_a_prefix_may_contain_a_comma(tmp_path):
    make(tmp_path, "a,b-0001.params", "a,b-symbol.json")
    prefix = str(tmp_path / "a,b")
    assert parse_model(prefix) == (prefix, [1])
    assert parse_model(f"{prefix},1") == (prefix, [1])


def test_a_prefix_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "model-0001.params", "model-symbol.json")
    assert parse_model("model") == ("model", [1])


@pytest.mark.parametrize("text", ["", "model,", "model,one", "model,1,x", "model,-1", ",1|"])
def test_invalid_model_values(text):
    with pytest.raises(InputError, match=r"prefix,1\|2\|3"):
        parse_model(text)


def test_the_error_for_a_missing_model_lists_the_existing_ones(prefix):
    with pytest.raises(InputError, match=r"no .*y1-0003.params, .*y1-0004.params; .*y1,2") as error:
        parse_model(f"{prefix},2|3|4")
    assert "y1-b,7" in str(error.value)
    with pytest.raises(InputError, match=r"no checkpoint .*y2-<epoch>.params; .*y1,10000"):
        parse_model(f"{prefix[:-1]}2")
    with pytest.raises(InputError, match=r"no folder .*elsewhere"):
        parse_model(f"{prefix}/elsewhere/model,1")


def test_the_folder_of_one_model_stands_for_its_prefix(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = tmp_path / "y1"
    make(folder, "model-0001.params", "model-0003.params", "model-symbol.json", "train.log")
    for text in (str(folder), f"{folder}/"):
        assert parse_model(text) == (str(folder / "model"), [3, 1])
        assert parse_one_model(text) == (str(folder / "model"), 3)
        assert parse_model(f"{text},1") == (str(folder / "model"), [1])
    assert f"the newest checkpoint is taken, {folder}/model,3" in caplog.text
    make(tmp_path, "y1-0007.params", "y1-symbol.json")  # a model of the folder's own name
    assert parse_model(str(folder)) == (str(folder), [7])


def test_other_folders_list_the_checkpoints_in_them(prefix, tmp_path):
    folder = str(tmp_path / "models")
    with pytest.raises(InputError, match=r"models is a folder with 2 models: .*y1, .*y1-b$"):
        parse_one_model(folder)
    with pytest.raises(InputError, match=r"without checkpoints .*models/y1,2, .*models/y1-b,7"):
        parse_one_model(str(tmp_path))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"without checkpoints .*: none$"):
        parse_one_model(str(tmp_path / "none"))
    make(tmp_path / "params", "m-0001.params")
    with pytest.raises(InputError, match=r"no .*params/m-symbol\.json"):
        parse_one_model(str(tmp_path / "params"))
