"""Sharded and sampled classifiers through the command: resuming, checkpoints, verification."""

import logging
import os

import numpy as np
import pytest

from src import train_softmax
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.eval import verification
from src.training.resume import state_path

NETWORK = [
    "--network", "y1", "--version-output", "GDC", "--emb-size", "32", "--target", "pairs",
    "--lr", "0.01", "--ckpt", "2", "--loss-type", "4", "--margin-s", "16",
]  # fmt: skip
TWO = ["--devices", "cpu:0,cpu:1", "--per-batch-size", "4"]
KINDS = {
    "dense": [],
    "sharded": ["--fc7-shard"],
    "sampled": ["--fc7-sample", "0.5"],
}


def train(data, prefix, *more):
    train_softmax.main(["--data-dir", str(data), "--prefix", str(prefix), *NETWORK, *more])


def assert_same(first, second):
    first, second = mx.nd.load(str(first)), mx.nd.load(str(second))
    assert first.keys() == second.keys()
    for name, array in first.items():
        if name != "numbers":  # contains the name of the folder
            np.testing.assert_array_equal(array.asnumpy(), second[name].asnumpy(), err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_bit_equal_on_two_devices(learnable_set, tmp_path, kind):
    """The seed is that of the state: the command that resumes does not repeat it."""
    options = [*TWO, *KINDS[kind], "--verbose", "3"]
    train(learnable_set, tmp_path / "whole", *options, "--seed", "4", "--max-steps", "6")
    train(learnable_set, tmp_path / "parts", *options, "--seed", "4", "--max-steps", "3")
    os.remove(tmp_path / "parts-0001.params")
    train(learnable_set, tmp_path / "parts", *options, "--max-steps", "6", "--resume")
    assert_same(tmp_path / "parts-0002.params", tmp_path / "whole-0002.params")
    assert_same(state_path(tmp_path / "parts"), state_path(tmp_path / "whole"))


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_checkpoints_are_read_in_every_direction(learnable_set, tmp_path, source, target, caplog):
    """With a negligible rate, what is written is what was read, on another number of devices.

    A fixed gamma is written as the 1 that was used, or as the number that was stored.
    """
    train(learnable_set, tmp_path / "a", *TWO, *KINDS[source], "--max-steps", "1", "--target", "")
    caplog.clear()
    train(
        learnable_set, tmp_path / "b", *KINDS[target], "--pretrained", f"{tmp_path / 'a'},1",
        "--per-batch-size", "8", "--lr", "1e-30", "--max-steps", "1", "--target", "",
    )  # fmt: skip
    assert "are initialised" not in caplog.text
    first, second = (mx.nd.load(str(tmp_path / f"{name}-0001.params")) for name in "ab")
    assert first["arg:fc7_weight"].shape == (8, 32)
    for name, array in first.items():
        if name.startswith("arg:"):
            tolerance = 1e-30 if name == "arg:fc7_weight" else 1e-5
            np.testing.assert_allclose(
                second[name].asnumpy(), array.asnumpy(), 0, tolerance, err_msg=name
            )


def test_a_sampled_model_is_verified(learnable_set, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    train(learnable_set, tmp_path / "m", *TWO, *KINDS["sampled"], "--max-steps", "2")
    assert "the 8 classes are divided: up to 4 on each device" in caplog.messages
    assert any(line.startswith("each step uses 4 classes") for line in caplog.messages)
    during = [line for line in capsys.readouterr().out.splitlines() if "XNorm" in line]
    verification.main(
        ["--data-dir", str(learnable_set), "--model", f"{tmp_path / 'm'},1", "--target", "pairs",
         "--gpu", "-1", "--nfolds", "1"]
    )  # fmt: skip
    after = [line for line in capsys.readouterr().out.splitlines() if "XNorm" in line]
    lengths = [float(lines[0].split(":")[1]) for lines in (during, after)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)


def test_the_loss_of_a_sharded_run_falls(learnable_set, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    train(
        learnable_set, tmp_path / "m", *TWO, *KINDS["sharded"], "--max-steps", "30",
        "--loss-type", "0", "--lr", "0.02", "--ckpt", "0", "--seed", "1",
    )  # fmt: skip
    losses = [float(m.split("=")[1]) for m in caplog.messages if "Train-lossvalue" in m]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last_batch", ["keep", "wrap"])
def test_the_images_that_do_not_fill_a_batch_are_trained_on(
    learnable_set, tmp_path, caplog, kind, last_batch
):
    """48 images in batches of 14: a last batch of 6 on two devices, then one of 14 again."""
    caplog.set_level(logging.INFO)
    train(
        learnable_set, tmp_path / "m", *KINDS[kind], "--devices", "cpu:0,cpu:1", "--target", "",
        "--per-batch-size", "7", "--last-batch", last_batch, "--max-steps", "6", "--seed", "1",
    )  # fmt: skip
    assert "48 images, 4 batches of 14 per epoch" in caplog.messages
    arrays = mx.nd.load(str(tmp_path / "m-0001.params"))
    assert all(np.isfinite(array.asnumpy()).all() for array in arrays.values())


def test_too_few_images_for_the_devices_are_an_error(learnable_set, tmp_path):
    with pytest.raises(InputError, match="the last batch would have 3 images for 5 devices"):
        train(
            learnable_set, tmp_path / "m", "--devices", "cpu:0,cpu:1,cpu:2,cpu:3,cpu:4",
            "--target", "", "--per-batch-size", "3", "--last-batch", "keep", "--max-steps", "1",
        )  # fmt: skip


def test_a_cosine_schedule_runs_and_the_best_checkpoint_is_named(learnable_set, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    options = [
        *TWO, "--lr-scheduler", "cosine", "--warmup-steps", "2", "--verbose", "2", "--seed", "1",
        "--max-steps", "6",
    ]  # fmt: skip
    train(learnable_set, tmp_path / "whole", *options)
    (line,) = [m for m in caplog.messages if m.startswith("best checkpoint")]
    assert f"best checkpoint: {tmp_path / 'whole'}-000" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fc7-sample", "0"], "expected a number above 0, up to 1"),
        (["--fc7-sample", "1.5"], "expected a number above 0, up to 1"),
        (["--fc7-sample", "0.5", "--loss-type", "1"], "--loss-type 1 (SphereFace) does not work"),
        (["--fc7-shard", "--loss-type", "1"], "use 0, 2, 4 or 5"),
    ],
)
def test_wrong_flags(flags, message, capsys):
    with pytest.raises(SystemExit):
        train_softmax.parse_args(flags)
    assert message in capsys.readouterr().err


def test_a_resumed_run_keeps_its_classifier(learnable_set, tmp_path):
    train(learnable_set, tmp_path / "m", *TWO, "--max-steps", "1", "--target", "")
    with pytest.raises(InputError, match="--fc7-shard was False, is True"):
        train(
            learnable_set, tmp_path / "m", *TWO, "--max-steps", "2", "--target", "", "--resume",
            "--fc7-shard",
        )  # fmt: skip
