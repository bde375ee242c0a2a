"""What is checked before the first batch."""

import numpy as np
import pytest

from src.checkpoints.files import save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.face_layout import read_layout
from src.formats.records import RecordReader, RecordWriter
from src.training.preparation import (
    check_labels,
    check_prefix,
    find_training_set,
    load_pretrained,
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


def test_fewer_identities_than_classes_are_allowed_with_a_warning(learnable_set, caplog):
    with RecordReader(learnable_set / "train.rec") as reader:
        assert check_labels(reader, read_layout(reader).identity_ranges, 8) is None
        assert not caplog.messages
        assert check_labels(reader, read_layout(reader).identity_ranges, 80) is None
    assert "72 of the 80 classes in property have no images" in caplog.text


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


@pytest.mark.parametrize("ending", ["/", "/.", "/new/", "/.."])
def test_a_prefix_that_is_a_folder_is_rejected_with_the_fix(tmp_path, ending):
    with pytest.raises(InputError, match=r"this is a folder; add a name .* --prefix .*/model$"):
        check_prefix(f"{tmp_path}{ending}")
    check_prefix(f"{tmp_path}/new/model")
    assert not list(tmp_path.iterdir())


def test_a_prefix_that_cannot_be_written_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--prefix .*: cannot write to .*file"):
        check_prefix(f"{tmp_path}/file/model")
