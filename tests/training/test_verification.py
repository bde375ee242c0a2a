"""Verification during training."""

from types import SimpleNamespace

from src.common.mxnet_backend import mx
from src.training.verification import Verifier, load_targets


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
