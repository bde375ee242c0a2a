"""Softmax and margin losses through the command, on two CPU devices where possible."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from src import train_softmax
from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.common.errors import InputError
from src.common.locks import only_process
from src.common.mxnet_backend import mx
from src.eval import verification
from src.graphs.prelu import MARK
from src.training import command
from src.training.earlier_run import lock_path
from src.training.resume import read_state, state_path, write_state
from src.training.stopping import Diverged

SMALL_Y1 = [
    "--network", "y1", "--version-output", "GDC", "--emb-size", "32", "--target", "pairs",
    "--seed", "1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _info_lines(caplog):
    caplog.set_level(logging.INFO)


def train(learnable_set, prefix, *more):
    train_softmax.main(
        ["--data-dir", str(learnable_set), "--prefix", str(prefix), *SMALL_Y1, *map(str, more)]
    )


def losses(caplog):
    """Mean loss of each epoch."""
    lines = (re.fullmatch(r"Epoch\[\d+\] Train-lossvalue=(.*)", m) for m in caplog.messages)
    return [float(line[1]) for line in lines if line]


def same_parameters(first, second):
    first, second = mx.nd.load(first), mx.nd.load(second)
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name].asnumpy(), second[name].asnumpy()) for name in first)


@pytest.mark.parametrize("loss_type", [0, 1, 2, 4, 5])
def test_each_loss_on_two_devices(learnable_set, tmp_path, capsys, loss_type):
    prefix = tmp_path / "new" / "model"
    train(
        learnable_set, prefix,
        "--loss-type", loss_type, "--per-batch-size", 4, "--devices", "cpu:0,cpu:1",
        "--max-steps", 3, "--ckpt", 2, "--verbose", 2, "--lr", 0.01,
    )  # fmt: skip
    symbol, arg_params, aux_params = load_checkpoint(str(prefix), 2)
    assert symbol.list_outputs() == ["blockgrad0_output", "softmax_output"]
    assert arg_params["fc7_weight"].shape == (8, 32)
    # The saved graph is the original's, not the one rewritten for the CPU.
    assert "LeakyReLU" in symbol.tojson()
    assert not any(MARK in name for name in [*arg_params, *aux_params, *symbol.list_arguments()])
    assert sorted(arg_params) == sorted(set(symbol.list_arguments()) - {"data", "softmax_label"})
    assert all(np.isfinite(array.asnumpy()).all() for array in arg_params.values())
    printed = capsys.readouterr().out
    for line in (
        "num_layers 1", "image_size [112, 112]", "num_classes 8", "id2range 8", "ver pairs",
        "Called with argument: Namespace(", "testing verification..",
        "[pairs][2]XNorm: ", "[pairs][2]Accuracy-Flip: ", "saving 1", "[2]Accuracy-Highest: ",
        "saving 2",
    ):  # fmt: skip
        assert f"\n{line}" in printed


def test_two_devices_step_as_one(learnable_set, tmp_path, monkeypatch):
    """The gradient is scaled by 1/devices. With a single picture, their statistics are equal."""

    class OnePicture(train_softmax.FaceImageIter):
        def __init__(self, *positional, **named):
            super().__init__(*positional, **named)
            self.seq = [1, 1, 1, 1]

    monkeypatch.setattr(train_softmax, "FaceImageIter", OnePicture)
    for name, devices in (("one", "cpu:0"), ("two", "cpu:0,cpu:1")):
        train(
            learnable_set, tmp_path / name, "--devices", devices, "--rand-mirror", 0,
            "--per-batch-size", 4 // len(devices.split(",")), "--loss-type", 0, "--lr", 0.01,
            "--max-steps", 2, "--ckpt", 2, "--target", "",
        )  # fmt: skip
    one, two = (mx.nd.load(str(tmp_path / f"{name}-0001.params")) for name in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name].asnumpy(), one[name].asnumpy(), rtol=1e-5, atol=1e-5)


def test_the_loss_falls(learnable_set, tmp_path, caplog):
    train(
        learnable_set, tmp_path / "m",
        "--loss-type", 0, "--per-batch-size", 8, "--max-steps", 30, "--lr", 0.02, "--ckpt", 0,
    )  # fmt: skip
    of_epochs = losses(caplog)
    assert len(of_epochs) == 4  # the fifth is not logged: the run ends at its last batch
    assert of_epochs[-1] < 0.5 * of_epochs[0]
    assert list(tmp_path.iterdir()) == []  # --ckpt 0 saves nothing


def test_a_resumed_run_equals_one_that_was_not_interrupted(learnable_set, tmp_path):
    def run(name, steps, *more):
        train(
            learnable_set, tmp_path / name, "--loss-type", 4, "--per-batch-size", 8, "--verbose", 4,
            "--max-steps", steps, "--ckpt", 2, "--lr", 0.01, "--lr-steps", 5, *more,
        )  # fmt: skip

    run("whole", 8)
    run("parts", 4, "--resume")  # there is no state yet: starts from the beginning
    os.remove(tmp_path / "parts-0001.params")
    run("parts", 8, "--resume")
    assert same_parameters(str(tmp_path / "whole-0002.params"), str(tmp_path / "parts-0002.params"))
    momentum = [mx.nd.load(state_path(tmp_path / name)) for name in ("whole", "parts")]
    for name, array in momentum[0].items():
        if name.startswith("momentum:"):
            np.testing.assert_array_equal(array.asnumpy(), momentum[1][name].asnumpy())


def test_a_resumed_run_does_not_need_its_pretrained_checkpoint(learnable_set, tmp_path, caplog):
    base = ["--per-batch-size", 8, "--loss-type", 0, "--ckpt", 2, "--lr", 0.01, "--target", ""]
    train(learnable_set, tmp_path / "a", *base, "--max-steps", 1)
    start = ["--pretrained", tmp_path / "a,1"]
    train(learnable_set, tmp_path / "b", *base, "--max-steps", 1, *start)
    os.remove(tmp_path / "a-0001.params")
    train(learnable_set, tmp_path / "b", *base, "--max-steps", 2, *start, "--resume")
    assert "resuming after batch 1" in caplog.text
    with pytest.raises(InputError, match=r"a-0001\.params|checkpoint"):
        train(learnable_set, tmp_path / "c", *base, "--max-steps", 1, *start, "--resume")


def test_beta_falls_and_resumes(learnable_set, tmp_path, caplog, capsys, monkeypatch):
    """SphereFace on two devices, in one run and in two; the saved model is verified."""
    seen = []

    class Watched(command.Trainer):
        def step(self, batch, number):
            super().step(batch, number)
            executors = self.module._exec_group.execs
            assert len(executors) == 2
            bound = np.array([executor.arg_dict["fc7_beta"].asnumpy() for executor in executors])
            assert bound.shape == (2, 2)
            assert (bound == bound[0, 0]).all()
            seen.append(bound[0, 0])

    monkeypatch.setattr(command, "Trainer", Watched)

    def run(name, steps, *more):
        train(
            learnable_set, tmp_path / name, "--loss-type", 1, "--per-batch-size", 2, "--verbose", 2,
            "--max-steps", steps, "--ckpt", 2, "--lr", 0.01, "--devices", "cpu:0,cpu:1",
            "--margin", 3, "--beta", 100, "--beta-min", 20, "--beta-freeze", 1, "--gamma", 1, *more,
        )  # fmt: skip

    run("whole", 6)
    run("parts", 2)
    run("parts", 6, "--resume")
    assert seen[:6] == [100, 100, 50, pytest.approx(100 / 3), 25, 20]
    assert seen[6:] == seen[:6]
    lines = [message for message in caplog.messages if re.match(r"beta|SphereFace's beta", message)]
    fresh = "SphereFace's beta 100, falling to no less than 20 from batch 3 on"
    assert lines[:5] == [fresh, "beta 100 from batch 2 on", "beta 50 from batch 3 on",
                         "beta 25 from batch 5 on", "beta 20 from batch 6 on"]  # fmt: skip
    whole, parts = (
        mx.nd.load(str(tmp_path / f"{name}-0003.params")) for name in ("whole", "parts")
    )
    for name, array in whole.items():
        # The batch statistics of the devices are saved as their mean, which rounds them.
        np.testing.assert_allclose(
            parts[name].asnumpy(), array.asnumpy(), rtol=1e-5, atol=1e-5, err_msg=name
        )
    assert not any("beta" in name and "fc7" in name for name in whole)
    capsys.readouterr()
    verification.main(
        ["--data-dir", str(learnable_set), "--model", f"{tmp_path / 'whole'},3", "--nfolds", "2",
         "--target", "pairs", "--gpu", "-1", "--batch-size", "8"]
    )  # fmt: skip
    assert "[pairs]Accuracy-Flip: " in capsys.readouterr().out


@pytest.mark.slow
def test_momentum_is_restored_on_several_devices_too(learnable_set, tmp_path):
    def run(name, steps, *more):
        train(
            learnable_set, tmp_path / name, "--loss-type", 0, "--per-batch-size", 4, "--verbose", 2,
            "--max-steps", steps, "--ckpt", 2, "--lr", 0.01, "--devices", "cpu:0,cpu:1", *more,
        )  # fmt: skip

    run("whole", 4)
    run("parts", 2)
    run("parts", 4, "--resume")
    whole, parts = (
        mx.nd.load(str(tmp_path / f"{name}-0002.params")) for name in ("whole", "parts")
    )
    for name, array in whole.items():
        # The batch statistics of the devices are saved as their mean, which rounds them.
        tolerance = 1e-6 if name.startswith("aux:") else 0
        np.testing.assert_allclose(
            parts[name].asnumpy(), array.asnumpy(), rtol=tolerance, atol=tolerance, err_msg=name
        )


def test_a_state_of_another_run_is_rejected(learnable_set, tmp_path):
    more = ["--loss-type", 0, "--per-batch-size", 4, "--max-steps", 1, "--ckpt", 2]
    train(learnable_set, tmp_path / "m", *more)
    with pytest.raises(InputError, match="the batch size over all devices was 4, is 8"):
        train(learnable_set, tmp_path / "m", *more, "--per-batch-size", 8, "--resume")
    graph = (tmp_path / "m-symbol.json").read_text()
    with pytest.raises(InputError, match="--version-output was GDC, is GNAP"):
        train(learnable_set, tmp_path / "m", *more, "--version-output", "GNAP", "--resume")
    assert (tmp_path / "m-symbol.json").read_text() == graph


def test_a_used_prefix_loses_nothing(learnable_set, tmp_path, caplog):
    more = ["--loss-type", 0, "--per-batch-size", 4, "--ckpt", 2, "--verbose", 1, "--target", ""]
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == [
        "m-0001.params", "m-0002.params", "m-0003.params", "m-resume.state", "m-symbol.json",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"is in use: .*use --resume to continue that run"):
        train(learnable_set, tmp_path / "m", *more, "--max-steps", 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 2, "--start-over")
    aside = {path.name: path.read_bytes() for path in (tmp_path / "m.old-1").iterdir()}
    assert aside == before
    assert not (tmp_path / "m-0003.params").exists()
    with pytest.raises(SystemExit):
        train(learnable_set, tmp_path / "m", *more, "--resume", "--start-over")
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 2, "--ckpt", 0)  # writes nothing


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, numbers: numbers.pop("identity"),
        lambda arrays, numbers: numbers.pop("step"),
        lambda arrays, numbers: numbers.update(step="many"),
        lambda arrays, numbers: numbers["data"].pop("epoch"),
        lambda arrays, numbers: numbers["milestones"].pop("highest"),
        lambda arrays, numbers: numbers.update(data=None),
        lambda arrays, numbers: arrays.update({"other:w": mx.nd.ones(3)}),
        lambda arrays, numbers: arrays.update({"momentum:fc1_beta": mx.nd.ones(3)}),
        lambda arrays, numbers: arrays.update({"momentum:unknown": mx.nd.ones(3)}),
    ],
)
def test_a_state_with_a_missing_or_foreign_part_is_rejected(learnable_set, tmp_path, change):
    more = ["--loss-type", 0, "--per-batch-size", 4, "--ckpt", 2, "--target", ""]
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 1)
    path = state_path(tmp_path / "m")
    arrays, numbers = read_state(path)
    change(arrays, numbers)
    write_state(path, arrays, numbers)
    with pytest.raises(InputError, match=f"{path} is not the state of a run"):
        train(learnable_set, tmp_path / "m", *more, "--max-steps", 2, "--resume")


def test_two_runs_at_once_on_one_prefix_are_refused(learnable_set, tmp_path):
    with (
        only_process(lock_path(str(tmp_path / "m")), "the first"),
        pytest.raises(InputError, match=rf"--prefix .*m is being written .*process {os.getpid()}"),
    ):
        train(learnable_set, tmp_path / "m", "--max-steps", 1)
    assert list(tmp_path.iterdir()) == []


def test_another_data_set_is_refused_by_name(learnable_set, tmp_path):
    more = ["--loss-type", 0, "--per-batch-size", 4, "--ckpt", 2, "--target", ""]
    moved = tmp_path / "moved"
    shutil.copytree(learnable_set, moved)
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 1)
    train(moved, tmp_path / "m", *more, "--max-steps", 2, "--resume")
    index = moved / "train.idx"
    *lines, last = index.read_text().splitlines(keepends=True)
    index.write_text("".join([last, *lines]))  # the same images in another order of lines
    with pytest.raises(InputError, match=rf"the data set in {moved} has changed"):
        train(moved, tmp_path / "m", *more, "--max-steps", 3, "--resume")
    other = tmp_path / "other"
    moved.rename(other)
    with pytest.raises(InputError, match=rf"data set was {moved}, --data-dir {other} is another"):
        train(other, tmp_path / "m", *more, "--max-steps", 3, "--resume")


def test_resuming_a_finished_run_says_so(learnable_set, tmp_path, caplog):
    more = ["--loss-type", 0, "--per-batch-size", 4, "--ckpt", 2, "--target", ""]
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 2)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    caplog.clear()
    train(learnable_set, tmp_path / "m", *more, "--max-steps", 2, "--resume")
    assert "the run has already finished, with batch 2: more needs" in caplog.text
    assert "the run ends after" not in caplog.text
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_training_starts_from_a_checkpoint_with_other_classes(learnable_set, tmp_path, caplog):
    base = ["--per-batch-size", 4, "--max-steps", 1, "--ckpt", 2, "--lr", 1e-9]
    train(learnable_set, tmp_path / "a", *base, "--loss-type", 0)
    symbol, arg_params, aux_params = load_checkpoint(str(tmp_path / "a"), 1)
    arg_params["fc7_weight"] = mx.nd.ones((20, 32))
    arg_params["fc7_bias"] = mx.nd.ones((20,))
    save_checkpoint(str(tmp_path / "b"), 7, symbol, arg_params, aux_params)
    train(learnable_set, tmp_path / "c", *base, "--loss-type", 4, "--pretrained", tmp_path / "b,7")
    assert "20 classes, this data set has 8" in caplog.text
    after = load_checkpoint(str(tmp_path / "c"), 1)[1]
    assert after["fc7_weight"].shape == (8, 32)
    name = "conv_1_conv2d_weight"
    np.testing.assert_allclose(after[name].asnumpy(), arg_params[name].asnumpy(), atol=1e-4)


def test_a_checkpoint_of_another_network_is_rejected(learnable_set, tmp_path):
    base = ["--per-batch-size", 4, "--max-steps", 1, "--ckpt", 2, "--loss-type", 0]
    train(learnable_set, tmp_path / "a", *base)
    with pytest.raises(InputError, match=r"--emb-size.*pre_fc1_weight is \(32, 512\)"):
        train(
            learnable_set, tmp_path / "b", *base, "--pretrained", tmp_path / "a,1", "--emb-size", 64
        )
    with pytest.raises(InputError, match=r"arrays are not in the checkpoint: use the --network"):
        r18 = ["--network", "r18", "--version-output", "E"]
        train(learnable_set, tmp_path / "b", *base, "--pretrained", tmp_path / "a,1", *r18)
    with pytest.raises(InputError, match=r"a-0009\.params"):
        train(learnable_set, tmp_path / "b", *base, "--pretrained", tmp_path / "a,9")


def test_labels_beyond_the_classes_raise_an_error_before_the_first_step(learnable_set, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(learnable_set, copy)
    (copy / "property").write_text("5,112,112\n")
    with pytest.raises(InputError, match=r"label 5, but .*property has 5 classes.*8 identities"):
        train(copy, tmp_path / "m", "--max-steps", 1)


def test_a_diverged_run_stops_and_keeps_the_last_checkpoint(learnable_set, tmp_path):
    base = ["--per-batch-size", 8, "--loss-type", 0, "--ckpt", 2, "--verbose", 1]
    train(learnable_set, tmp_path / "m", *base, "--max-steps", 1, "--lr", 0.01)
    with pytest.raises(
        Diverged, match=r"batch \d+: .*softmax_output.*Last good checkpoint"
    ) as stop:
        train(
            learnable_set,
            tmp_path / "m",
            *base,
            "--lr",
            1e18,
            "--max-steps",
            20,
            "--resume",
            "--target",
            "",
        )
    number = re.search(r"m-(\d+)\.params", str(stop.value))[1]
    for name, array in mx.nd.load(str(tmp_path / f"m-{number}.params")).items():
        assert np.isfinite(array.asnumpy()).all(), name


class Poisoned(command.Trainer):
    """The first time that batch 4 is trained, the loss is NaN."""

    poisoned = 0

    def step(self, batch, number):
        if number == 4 and Poisoned.poisoned > 0:
            Poisoned.poisoned -= 1
            batch.data[0][:] = np.nan
        super().step(batch, number)


def rolled_back(learnable_set, prefix, monkeypatch, times, *more):
    monkeypatch.setattr(command, "Trainer", Poisoned)
    monkeypatch.setattr(Poisoned, "poisoned", times)
    train(
        learnable_set, prefix, "--per-batch-size", 8, "--loss-type", 4, "--margin-s", 16, "--ckpt",
        2, "--verbose", 2, "--max-steps", 6, "--lr", 0.04, "--on-nan", "rollback", *more,
    )  # fmt: skip


@pytest.mark.parametrize("classifier", [[], ["--fc7-shard"]])
def test_a_diverged_run_returns_to_the_last_state(
    learnable_set, tmp_path, caplog, monkeypatch, classifier
):
    """From there it is bit-equal to a run that is resumed with half the learning rate."""
    rolled_back(learnable_set, tmp_path / "m", monkeypatch, 1, *classifier)
    assert any(
        "back to batch 2, with 0.5 times the learning rate" in line for line in caplog.messages
    )
    base = [
        "--per-batch-size", 8, "--loss-type", 4, "--margin-s", 16, "--ckpt", 2, "--verbose", 2,
        *classifier,
    ]  # fmt: skip
    train(learnable_set, tmp_path / "n", *base, "--max-steps", 2, "--lr", 0.04)
    train(learnable_set, tmp_path / "n", *base, "--max-steps", 6, "--lr", 0.02, "--resume")
    assert same_parameters(str(tmp_path / "m-0003.params"), str(tmp_path / "n-0003.params"))


def test_a_rollback_is_remembered_and_limited(learnable_set, tmp_path, caplog, monkeypatch):
    with pytest.raises(Diverged, match="batch 4"):
        rolled_back(learnable_set, tmp_path / "m", monkeypatch, 100)
    assert sum("--on-nan rollback" in line for line in caplog.messages) == 5
    rolled_back(learnable_set, tmp_path / "n", monkeypatch, 2)
    _, numbers = read_state(state_path(tmp_path / "n"))
    assert numbers["rate_factor"] == 0.25


def test_without_a_state_there_is_no_rollback(learnable_set, tmp_path, monkeypatch):
    with pytest.raises(Diverged, match="Last good checkpoint: none"):
        rolled_back(learnable_set, tmp_path / "m", monkeypatch, 1, "--verbose", 10)


def test_a_signal_stops_a_run_after_the_step_and_it_resumes(learnable_set, tmp_path):
    """Like Ctrl-C in a terminal, in a separate process."""
    command = [
        sys.executable, "-u", "-m", "src.train_softmax", "--data-dir", str(learnable_set),
        "--prefix", str(tmp_path / "m"), *SMALL_Y1, "--loss-type", "0", "--per-batch-size", "8",
        "--ckpt", "2", "--target", "", "--log-file", str(tmp_path / "log"),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "Epoch[0] Train-acc" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "with --resume to continue" in rest
    step = int(re.search(r"stopped after batch (\d+)", rest)[1])
    assert step >= 6
    assert "stopped after batch" in (tmp_path / "log").read_text()
    done = subprocess.run(
        [*command, "--resume", "--max-steps", str(step + 1)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"resuming after batch {step}" in done.stderr
    assert (tmp_path / "m-0001.params").exists()


@pytest.fixture
def pretrained(learnable_set, tmp_path):
    """'prefix,1' of a small network with head GDC."""
    base = ["--per-batch-size", 4, "--max-steps", 1, "--ckpt", 2, "--loss-type", 0, "--lr", 1e-3]
    train(learnable_set, tmp_path / "old", *base, "--target", "")
    return f"{tmp_path / 'old'},1"


@pytest.mark.parametrize(("rate", "warned"), [([], True), (["--lr", 0.001], False)])
def test_a_high_rate_with_pretrained_is_warned_of(
    learnable_set, tmp_path, caplog, pretrained, rate, warned
):
    more = ["--per-batch-size", 4, "--max-steps", 1, "--loss-type", 0, "--target", "", *rate]
    caplog.clear()
    train(learnable_set, tmp_path / "m", *more, "--pretrained", pretrained)
    assert ("--pretrained with --lr 0.1: so high a rate" in caplog.text) == warned
    assert "the checkpoint has the head" not in caplog.text
    train(
        learnable_set, tmp_path / "m", *more, "--pretrained", pretrained, "--resume",
        "--max-steps", 2,
    )  # fmt: skip
    assert caplog.text.count("so high a rate") == warned


def test_the_head_of_a_checkpoint_is_recognised(learnable_set, tmp_path, caplog, pretrained):
    more = ["--per-batch-size", 4, "--max-steps", 1, "--loss-type", 0, "--target", "", "--lr", 1e-3]
    train(
        learnable_set, tmp_path / "m", *more, "--pretrained", pretrained,
        "--version-output", "GNAP",
    )  # fmt: skip
    assert "has the head --version-output GDC; with GNAP its head starts" in caplog.text
    assert "pass --version-output GDC" in caplog.text
