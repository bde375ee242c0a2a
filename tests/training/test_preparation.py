"""What is checked before the first batch."""

from types import SimpleNamespace

import numpy as np
import pytest

from src.checkpoints.files import save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.face_records import read_layout
from src.formats.records import RecordReader, RecordWriter
from src.training.preparation import (
    Verifier,
    check_labels,
    find_training_set,
    load_pretrained,
    load_targets,
)


def test_a_training_set(learnable_set):
    found = find_training_set(str(learnable_set))
    assert (found.num_classes, found.image_size) == (8, [112, 112])
    assert found.path_imgrec == str(learnable_set / "train.rec")


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match="--data-dir is missing"):
        find_training_set("")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_training_set(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="property is missing"):
        find_training_set(str(tmp_path))


@pytest.mark.parametrize("labels", [[0, 1, 5], [0, 1, 1.5], [-1, 0, 1]])
def test_labels_outside_of_the_classes_raise_an_error(tmp_path, labels):
    with RecordWriter(tmp_path / "train.rec") as writer:
        for number, label in enumerate(labels, start=1):
            writer.write(number, [label, 1], b"picture")
            writer.write(number + 3, [number, number + 1])
        writer.write(0, [4, 7])
    with RecordReader(tmp_path / "train.rec") as reader:
        id2range = read_layout(reader).identity_ranges
        with pytest.raises(InputError, match="property has 3 classes, labels 0 to 2"):
            check_labels(reader, id2range, 3)


def test_fewer_identities_than_classes_are_allowed(learnable_set):
    with RecordReader(learnable_set / "train.rec") as reader:
        assert check_labels(reader, read_layout(reader).identity_ranges, 80) is None


def save_model(prefix, **arrays):
    arrays = {name: mx.nd.array(value) for name, value in arrays.items()}
    symbol = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="pre_fc1")
    save_checkpoint(str(prefix), 3, symbol, arrays, {})


def test_no_pretrained_model():
    assert load_pretrained("", 5) == (None, None)


@pytest.mark.parametrize(("classes", "kept"), [(4, True), (5, False), (None, True)])
def test_a_classifier_with_another_number_of_classes_is_dropped(tmp_path, classes, kept):
    save_model(tmp_path / "m", pre_fc1_weight=np.ones((2, 3)), fc7_weight=np.ones((4, 2)))
    arg_params, _ = load_pretrained(f"{tmp_path / 'm'},3", classes)
    assert ("fc7_weight" in arg_params) == kept


def test_several_or_missing_checkpoints_raise_errors(tmp_path):
    save_model(tmp_path / "m", w=[1])
    for text in (f"{tmp_path / 'm'},3|4", f"{tmp_path / 'm'},9"):
        with pytest.raises(InputError, match=r"m-0004\.params|m-0009\.params"):
            load_pretrained(text, 5)


def test_missing_verification_sets_are_skipped_with_one_warning(learnable_set, caplog, capsys):
    targets = load_targets(str(learnable_set), "lfw, pairs,agedb_30", [112, 112])
    assert [name for name, _ in targets] == ["pairs"]
    assert "ver pairs" in capsys.readouterr().out
    (line,) = [message for message in caplog.messages if "skipped" in message]
    assert "lfw.bin, agedb_30.bin" in line
    assert load_targets(str(learnable_set), "", [112, 112]) == []


def test_accuracies_are_printed_as_in_2018(learnable_set, capsys):
    class Colours:
        def forward(self, batch, is_train):
            images = batch.data[0].asnumpy()
            quarters = images.reshape(len(images), 3, 2, 56, 2, 56).mean(axis=(3, 5))
            self.output = mx.nd.array(quarters.reshape(len(images), 12) - 127.5)

        def get_outputs(self):
            return [self.output]

    targets = load_targets(str(learnable_set), "pairs", [112, 112])
    capsys.readouterr()
    (accuracy,) = Verifier(targets, 8)(SimpleNamespace(module=Colours()), 2000)
    assert accuracy == 1.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "testing verification.."
    assert lines[-2].startswith("[pairs][2000]XNorm: ")
    assert lines[-1] == "[pairs][2000]Accuracy-Flip: 1.00000+-0.00000"
