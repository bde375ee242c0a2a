"""The triplet loss through the command, on two CPU devices."""

import logging
import os
import re
import signal

import numpy as np
import pytest

from src import train_triplet
from src.checkpoints.files import load_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.loading.triplet_iter import FaceImageIter, NoTriplets

# The pictures of this set are far apart for any network; with a wide margin there are triplets.
SMALL = [
    "--network", "y1", "--version-output", "GDC", "--emb-size", "32", "--target", "pairs",
    "--seed", "1", "--per-batch-size", "6", "--triplet-alpha", "1.5", "--triplet-bag-size", "24",
    "--images-per-identity", "3", "--lr", "0.001",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _info_lines(caplog):
    caplog.set_level(logging.INFO)


def train(learnable_set, prefix, *more):
    train_triplet.main(
        ["--data-dir", str(learnable_set), "--prefix", str(prefix), *SMALL, *map(str, more)]
    )


def test_two_devices_and_the_lines_of_2018(learnable_set, tmp_path, capsys, caplog):
    train(learnable_set, tmp_path / "m", "--devices", "cpu:0,cpu:1", "--max-steps", 3)
    symbol, arg_params, _ = load_checkpoint(str(tmp_path / "m"), 1)
    assert symbol.list_outputs()[:2] == ["blockgrad0_output", "blockgrad1_output"]
    assert all(np.isfinite(array.asnumpy()).all() for array in arg_params.values())
    printed = capsys.readouterr().out
    for line in ("eval 24 images.. 24", "found triplets ", "saving 1", "[pairs][3]Accuracy-Flip: "):
        assert f"\n{line}" in printed
    mined = r"mined/bag \d+/\d+ \(embedding [\d.]+ s, of it data-wait [\d.]+ s, mining [\d.]+ s\)"
    assert any(re.fullmatch(mined, message) for message in caplog.messages)


def test_a_resumed_run_equals_one_that_was_not_interrupted(learnable_set, tmp_path):
    """Through several bags: the triplets of the second half depend on the state after the first."""

    def run(name, steps, *more):
        train(
            learnable_set, tmp_path / name, "--verbose", 2,
            "--max-steps", steps, "--triplet-bag-size", 6, "--target", "", *more,
        )  # fmt: skip

    run("whole", 4)
    run("parts", 2)
    run("parts", 4, "--resume")
    whole, parts = (
        mx.nd.load(str(tmp_path / f"{name}-0002.params")) for name in ("whole", "parts")
    )
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name].asnumpy(), array.asnumpy(), err_msg=name)


def test_noise_changes_the_run(learnable_set, tmp_path, capsys):
    biases = []
    for noise in (0.0, 0.1):
        train(
            learnable_set, tmp_path / f"m{noise}", "--max-steps", 1, "--noise-sgd", noise,
            "--target", "", "--triplet-bag-size", 6,
        )  # fmt: skip
        arg_params = load_checkpoint(str(tmp_path / f"m{noise}"), 1)[1]
        biases.append(arg_params["pre_fc1_bias"].asnumpy())
    assert 0.3 < np.std(biases[1] - biases[0]) / (0.1 * 0.001) < 3
    assert "use noise sgd" in capsys.readouterr().out


def test_a_set_without_triplets_raises_an_error_with_the_reason(learnable_set, tmp_path):
    with pytest.raises(NoTriplets, match="--triplet-alpha 1e-09"):
        train(learnable_set, tmp_path / "m", "--triplet-alpha", 1e-9, "--triplet-bag-size", 6)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_is_not_a_multiple_of_three_shrinks(caplog):
    assert train_triplet.whole_triplets(128) == 126
    assert "--per-batch-size 128 is not a multiple of 3: 126 is used" in caplog.text
    assert train_triplet.whole_triplets(150) == 150
    with pytest.raises(ValueError, match="a triplet needs 3"):
        train_triplet.whole_triplets(2)


def test_another_data_set_is_refused_by_name(shared, tmp_path):
    sets = shared / "cases" / "models" / "sets"
    more = ["--target", "", "--triplet-bag-size", 16, "--images-per-identity", 2, "--max-steps", 1]
    train(sets / "setA", tmp_path / "m", *more)
    with pytest.raises(
        InputError, match=r"data set was .*/setA, --data-dir .*/setB is another one"
    ):
        train(sets / "setB", tmp_path / "m", *more, "--resume")


def test_a_signal_stops_mining_and_the_run_resumes_bit_equal(learnable_set, tmp_path, monkeypatch):
    """The second bag is stopped in the middle; the state is that of the end of the first."""
    arguments = ["--max-steps", 6, "--triplet-bag-size", 6, "--target", "", "--ckpt", 2]
    train(learnable_set, tmp_path / "whole", *arguments, "--verbose", 1)

    embed, calls = FaceImageIter._embed, []

    def embed_and_stop(self, ids, labels):
        calls.append(self.round)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return embed(self, ids, labels)

    monkeypatch.setattr(FaceImageIter, "_embed", embed_and_stop)
    with pytest.raises(SystemExit) as stopped:
        train(learnable_set, tmp_path / "parts", *arguments, "--verbose", 1)
    assert stopped.value.code == 130
    assert len(calls) == 2
    monkeypatch.undo()
    train(learnable_set, tmp_path / "parts", *arguments, "--verbose", 1, "--resume")
    for number in range(1, 7):
        whole, parts = (
            mx.nd.load(str(tmp_path / f"{name}-{number:04d}.params")) for name in ("whole", "parts")
        )
        for name, array in whole.items():
            np.testing.assert_array_equal(parts[name].asnumpy(), array.asnumpy(), err_msg=name)


def test_a_run_stopped_before_its_first_batch_starts_again(learnable_set, tmp_path, monkeypatch):
    embed = FaceImageIter._embed

    def embed_and_stop(self, ids, labels):
        os.kill(os.getpid(), signal.SIGINT)
        return embed(self, ids, labels)

    monkeypatch.setattr(FaceImageIter, "_embed", embed_and_stop)
    with pytest.raises(SystemExit):
        train(learnable_set, tmp_path / "m", "--max-steps", 2)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    train(learnable_set, tmp_path / "m", "--max-steps", 2, "--resume")
