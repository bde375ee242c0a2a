"""Flags of later scripts, and numbers of other losses, name what to use here."""

import pytest

from src import train_softmax, train_triplet
from src.training.later_flags import HINTS, LOSSES

COMMANDS = (train_softmax, train_triplet)


def error_of(command, argv, capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse_args(argv)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_flags_of_a_later_command_line_are_all_named(command, capsys):
    argv = "--loss arcface --network r100 --dataset emore --models-root m --pretrained-epoch=1"
    error = error_of(command, argv.split(), capsys)
    for text in (
        "instead of --loss arcface use --loss-type 4;",
        "instead of --dataset use --data-dir FOLDER",
        "instead of --models-root use --prefix FOLDER/model",
        "instead of --pretrained-epoch use --pretrained PREFIX,EPOCH",
    ):
        assert text in error
    assert "--network use" not in error


@pytest.mark.parametrize("name", [*LOSSES, "arcface_torch", ""])
def test_the_name_of_a_loss_gives_its_number(name, capsys):
    error = error_of(train_softmax, [f"--loss={name}"], capsys)
    assert LOSSES.get(name, "--loss-type N (0 softmax, 1 SphereFace,") in error


@pytest.mark.parametrize("flag", HINTS)
@pytest.mark.parametrize("spelling", ["-", "_"])
def test_every_flag_of_the_table_is_answered(flag, spelling, capsys):
    written = "--" + flag[2:].replace("-", spelling)
    assert f"instead of {written} use" in error_of(train_softmax, [written, "1"], capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_underscores_are_corrected_and_own_flags_are_untouched(command, capsys):
    error = error_of(command, ["--per_batch_size", "8"], capsys)
    assert "instead of --per_batch_size use --per-batch-size" in error
    assert not {*HINTS, "--loss"} & {*command.parse_args([]).__dict__}
    assert command.parse_args(["--lr-step", "10,20"]).lr_steps == "10,20"  # an abbreviation


@pytest.mark.parametrize(
    ("command", "number", "message"),
    [
        (train_softmax, "12", "12 is the triplet loss, which python -m src.train_triplet trains"),
        (train_softmax, "3", "3: expected one of 0 (softmax), 1 (SphereFace), 2"),
        (train_softmax, "x", "x: expected one of 0"),
        (train_softmax, "-1", "expected one"),
        (train_triplet, "4", "4 is the ArcFace loss, which python -m src.train_softmax trains"),
        (train_triplet, "0", "0 is the softmax loss, which python -m src.train_softmax trains"),
        (train_triplet, "99", "99: expected one of 12 (triplet)"),
    ],
)
def test_the_number_of_another_loss_names_its_command(command, number, message, capsys):
    error = error_of(command, ["--loss-type", number], capsys)
    assert message in error
    assert "argument --loss-type" in error
