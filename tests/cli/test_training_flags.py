"""The 2018 flags and defaults of the training commands, and errors of the parser."""

import argparse
import logging
import re

import pytest

from src import train_softmax, train_triplet
from src.common.errors import InputError
from src.training import command as command_line
from src.training.from_flags import schedule_of

BOTH = {
    "data_dir": "",
    "prefix": "../model/model",
    "pretrained": "",
    "network": "r50",
    "version_se": 0,
    "version_input": 1,
    "version_output": "E",
    "version_unit": 3,
    "version_act": "prelu",
    "use_deformable": 0,
    "end_epoch": 100000,
    "lr": 0.1,
    "lr_steps": "",
    "wd": 0.0005,
    "mom": 0.9,
    "emb_size": 512,
    "per_batch_size": 128,
    "verbose": 2000,
    "max_steps": 0,
    "rand_mirror": 1,
    "cutoff": 0,
    "target": "lfw,cfp_fp,agedb_30",
}
SOFTMAX = {
    "ckpt": 1,
    "loss_type": 4,
    "fc7_wd_mult": 1.0,
    "fc7_lr_mult": 1.0,
    "fc7_no_bias": False,
    "bn_mom": 0.9,
    "margin_m": 0.5,
    "margin_s": 64.0,
    "margin_a": 1.0,
    "margin_b": 0.0,
    "easy_margin": 0,
    "margin": 4,
    "beta": 1000.0,
    "beta_min": 5.0,
    "beta_freeze": 0,
    "gamma": 0.12,
    "power": 1.0,
    "scale": 0.9993,
}
NEW_IN_SOFTMAX = {"last_batch": "drop", "fc7_shard": False, "fc7_sample": 1.0}
TRIPLET = {
    "ckpt": 2,
    "loss_type": 12,
    "noise_sgd": 0.0,
    "images_per_identity": 5,
    "triplet_bag_size": 3600,
    "triplet_alpha": 0.3,
    "triplet_max_ap": 0.0,
}
# Flags that 2018 did not have.
NEW = {
    "seed": None,
    "log_file": "",
    "devices": "",
    "resume": False,
    "start_over": False,
    "threads": 2,
    "lr_scheduler": "step",
    "on_nan": "stop",
    "warmup_steps": 0,
    "kvstore": "device",
    "dtype": "float32",
    "loss_scale": 128.0,
    "worker_timeout": 1800.0,
    "num_workers": 1,  # no flag
}
COMMANDS = [(train_softmax, SOFTMAX), (train_triplet, TRIPLET)]


@pytest.mark.parametrize(("command", "own"), COMMANDS)
def test_defaults(command, own):
    new = NEW if command is train_triplet else {**NEW, **NEW_IN_SOFTMAX}
    assert vars(command.parse_args([])) == {**BOTH, **own, **new}


@pytest.mark.parametrize(("command", "own"), COMMANDS)
def test_each_flag_is_taken_under_its_2018_name(command, own):
    values = {
        "network": "y1",
        "version_output": "GDC",
        "lr_steps": "10,20",
        "loss_type": own["loss_type"],
        "ckpt": 0,
        "target": "lfw",
    }
    for name, default in {**BOTH, **own}.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            argv, expected = [flag], True
        else:
            expected = values.get(name, "x" if default == "" else default)
            argv = [flag, str(expected)]
        others = ["--version-output", "GDC"] if name == "network" else []
        assert getattr(command.parse_args([*others, *argv]), name) == expected


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--network", "y1"], "a y network needs --version-output GNAP or GDC"),
        (["--network", "r10"], "--network r10: expected one of r18, r34, r50"),
        (["--lr-scheduler", "cosine"], "needs the end of the run: --max-steps or --end-epoch"),
        (
            ["--lr-scheduler", "poly", "--lr-steps", "5", "--max-steps", "9"],
            "--lr-steps has no effect with --lr-scheduler poly",
        ),
        (["--version-unit", "4"], "--version-unit 4: an r network accepts 0, 1, 2, 3"),
        (["--version-output", "A", "--emb-size", "128"], "use --emb-size 512"),
        (["--network", "q5"], "--network q5"),
        (["--network", "resnet"], "--network resnet"),
        (["--lr-steps", "3,2"], "ascending batch numbers"),
        (["--lr-steps", "a"], "ascending batch numbers"),
        (["--verbose", "0"], "an integer of at least 1"),
        (["--per-batch-size", "-1"], "--per-batch-size: '-1': expected an integer of at least 0"),
        (["--cutoff", "-5"], "--cutoff: '-5'"),
        (["--seed", "-1"], "--seed: '-1'"),
        (["--lr", "0"], "--lr: '0': expected a number above 0"),
        (["--lr", "inf"], "--lr: 'inf'"),
        (["--wd", "nan"], "--wd: 'nan': expected a number of at least 0"),
        (["--mom", "-3"], "--mom: '-3'"),
        (["--loss-type", "3"], "--loss-type"),
        (["--ckpt", "3"], "--ckpt"),
        (["--no-such-flag"], "unrecognized"),
    ],
)
def test_the_parser_reports_errors_before_any_data_is_read(command, argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse_args(argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--loss-type", "1", "--margin", "5"], "--margin 5: expected 1, 2, 3 or 4"),
        (["--loss-type", "1", "--beta", "-1"], "--beta -1"),
        (["--loss-type", "1", "--beta-min", "nan"], "--beta-min nan"),
        (["--loss-type", "1", "--beta-freeze", "-1"], "--beta-freeze -1"),
        (["--loss-type", "1", "--gamma", "-0.1"], "--gamma -0.1"),
        (["--loss-type", "1", "--power", "-1"], "--power -1"),
        (["--loss-type", "2", "--margin-m", "-0.1"], "--margin-m -0.1"),
        (["--loss-type", "4", "--margin-m", "1.6"], "--margin-m 1.6"),
        (["--loss-type", "4", "--margin-s", "0"], "--margin-s 0.0"),
        (["--loss-type", "5", "--margin-m", "-0.1"], "--margin-m -0.1"),
        (["--loss-type", "5", "--margin-b", "-0.1"], "--margin-b -0.1"),
        (["--loss-type", "5", "--margin-a", "0"], "--margin-a 0.0"),
    ],
)
def test_invalid_margins_are_reported_before_any_data_is_read(argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        train_softmax.parse_args(argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    args = train_softmax.parse_args([])
    for flag, value in zip(argv[::2], argv[1::2], strict=True):
        name = flag[2:].replace("-", "_")
        setattr(args, name, type(getattr(args, name))(value))
    with pytest.raises(InputError, match=message.split(":")[0]):
        train_softmax.main(args)


def test_flags_of_other_losses_are_not_checked():
    argv = ["--loss-type", "0", "--margin", "7", "--margin-s", "0", "--margin-m", "-1"]
    assert train_softmax.parse_args(argv).margin == 7


@pytest.mark.parametrize(("classes", "freeze", "gamma"), [(20000, 0, 0.12), (20001, 5000, 0.06)])
def test_sphere_face_on_many_classes_anneals_as_in_2018(classes, freeze, gamma, caplog):
    caplog.set_level(logging.INFO)
    args = train_softmax.parse_args(["--loss-type", "1"])
    args.num_classes, args.batch_size = classes, 512
    loss = command_line.classifier_of(args).loss
    assert (loss.beta_freeze, loss.gamma) == (freeze, gamma)
    assert ("--beta-freeze is 5000" in caplog.text) == (classes > 20000)
    assert schedule_of(args, loss, 10).delay == freeze
    args = train_softmax.parse_args(["--loss-type", "4"])
    args.num_classes, args.batch_size = classes, 512
    loss = command_line.classifier_of(args).loss
    assert schedule_of(args, loss, 10).delay == 0


def test_beta_freeze_delays_the_rates_of_every_loss_as_in_2018():
    for loss_type in ("0", "1", "4"):
        args = train_softmax.parse_args(["--loss-type", loss_type, "--beta-freeze", "7"])
        args.num_classes, args.batch_size = 10, 512
        loss = command_line.classifier_of(args).loss
        assert schedule_of(args, loss, 10).delay == 7


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_any_number_that_is_not_positive_means_no_limit(command):
    """As in 2018, which compared with 0."""
    assert command.parse_args(["--max-steps", "-1"]).max_steps == -1


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_help_is_grouped_and_shows_every_default(command, capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["--help"])
    text = capsys.readouterr().out
    titles = ("data:", "network:", "loss:", "optimizer:", "run:", "devices:")
    assert [line for line in text.splitlines() if line in titles] == list(titles)
    # Each flag has a default, is a switch, or has one that the program chooses.
    flags = re.findall(r"^  (--\S+)", text, re.MULTILINE)
    switches = {"--resume", "--start-over", "--fc7-no-bias", "--fc7-shard"}
    assert " ".join(text.split()).count("(default: ") == len(set(flags) - switches)
    assert "--use-deformable" in text
    assert text.count("no effect") == (2 if command is train_softmax else 1)


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_main_takes_a_namespace_as_in_2018(command, tmp_path):
    args = command.parse_args(["--data-dir", str(tmp_path / "none")])
    assert isinstance(args, argparse.Namespace)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        command.main(args)


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_a_namespace_is_checked_before_any_data_is_read(command, tmp_path):
    args = command.parse_args(["--data-dir", str(tmp_path / "none")])
    args.version_unit = 4
    with pytest.raises(ValueError, match="--version-unit 4"):
        command.main(args)


def test_a_warning_says_that_deformable_has_no_effect(caplog):
    with pytest.raises(ValueError, match="--data-dir is missing"):
        train_softmax.main(["--use-deformable", "1"])
    assert "--use-deformable has no effect" in caplog.text


@pytest.mark.parametrize("command", [train_softmax, train_triplet])
def test_a_missing_data_dir_is_named(command):
    with pytest.raises(ValueError, match="--data-dir is missing"):
        command.main([])
