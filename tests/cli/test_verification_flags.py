"""Flags and defaults of 2018's verification.py still work."""

import pytest

from src.eval import verification

FLAGS = {
    "--data-dir": ("data_dir", ""),
    "--model": ("model", "../model/softmax,50"),
    "--target": ("target", "lfw,cfp_ff,cfp_fp,agedb_30"),
    "--gpu": ("gpu", 0),
    "--batch-size": ("batch_size", 32),
    "--max": ("max", ""),
    "--mode": ("mode", 0),
    "--nfolds": ("nfolds", 10),
}


def test_defaults_of_2018():
    args = vars(verification.parse_args([]))
    assert {name: args[name] for name, _ in FLAGS.values()} == dict(FLAGS.values())
    new = {name: args[name] for name in args if name not in dict(FLAGS.values())}
    assert new == {"output": "", "csv": "", "report": ""}


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_is_accepted(flag):
    name, default = FLAGS[flag]
    value = {"--mode": 2}.get(flag, 7) if isinstance(default, int) else "value"
    assert getattr(verification.parse_args([flag, str(value)]), name) == value


def test_help_lists_every_flag(capsys):
    with pytest.raises(SystemExit) as exit_info:
        verification.parse_args(["--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert all(flag in out for flag in (*FLAGS, "--output"))


def test_names_that_other_code_of_2018_imports():
    names = (
        "LFold calculate_roc calculate_accuracy calculate_val calculate_val_far evaluate "
        "load_bin test test_badcase dumpR"
    )
    assert all(callable(getattr(verification, name)) for name in names.split())
