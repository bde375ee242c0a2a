"""Verification during training."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.verification_set import write_bin
from src.training.verification import Verifier, check_kinds, load_targets


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


@pytest.mark.parametrize(
    ("issame", "kind"),
    [
        (([True] * 5 + [False] * 5) * 2, "same"),
        ([True] * 50 + [False] * 50, "same"),
        ([False] * 20 + [True] * 20, "different"),
        ([True] * 16, "same"),
        ([False] * 3, "different"),
    ],
)
def test_folds_with_one_kind_of_pair_are_rejected_with_the_fix(issame, kind):
    with pytest.raises(InputError, match=rf"x\.bin: fold 1 of \d+ has only {kind} pairs.*lfw2pack"):
        check_kinds(issame, "x.bin")


def test_sets_too_small_for_mixed_folds_are_accepted():
    check_kinds([True, False] * 8, "x.bin")
    check_kinds([True] * 9 + [False] * 9, "x.bin")
    check_kinds(([True] * 5 + [False] * 5) * 10, "x.bin")  # ten folds of ten, all mixed


def test_a_target_is_rejected_when_it_is_read(tmp_path, make_jpeg):
    write_bin(tmp_path / "x.bin", [make_jpeg()] * 40, [True] * 10 + [False] * 10)
    with pytest.raises(InputError, match=r"x\.bin: fold 1 of 10 has only same pairs"):
        load_targets(str(tmp_path), "x", [112, 112])


@pytest.fixture
def make_jpeg():
    """Callable that returns the bytes of a black face."""
    return lambda: cv2.imencode(".jpg", np.zeros((112, 112, 3), np.uint8))[1].tobytes()


def test_the_case_of_blocks_of_pairs(shared):
    folder = shared / "cases" / "models" / "sets" / "setB"
    with pytest.raises(InputError, match=r"x\.bin: fold 1 of 10 has only same pairs.*lfw2pack"):
        load_targets(str(folder), "x", [112, 112])
