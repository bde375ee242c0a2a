"""Losses by number: the complete list, their settings, flags and table rows."""

import argparse
import dataclasses
import math

import pytest

from src.common.errors import InputError
from src.losses.arcface import ArcFace
from src.losses.base import setting
from src.losses.registry import (
    _check_settings,
    add_settings,
    classification_losses,
    create,
    losses,
    table_rows,
)


def test_every_loss_of_2018_is_found_by_its_number():
    assert losses().keys() >= {0, 1, 2, 4, 5, 12}
    assert classification_losses().keys() >= {0, 1, 2, 4, 5}
    assert 12 not in classification_losses()
    for number, loss in losses().items():
        assert loss.number == number
        assert loss.__module__.startswith("src.losses.")
    modules = [loss.__module__ for loss in losses().values()]
    assert len(set(modules)) == len(modules), "one module each"


def test_settings_of_other_losses_are_ignored():
    flags = {"margin_m": 0.3, "margin": 2, "triplet_alpha": 0.2, "data_dir": "faces"}
    assert create(4, flags).margin_m == 0.3
    assert create(4, flags).margin_s == 64.0
    assert create(1, flags).margin == 2
    assert create(12, flags).triplet_alpha == 0.2


def test_an_unknown_number_names_the_known_ones():
    with pytest.raises(InputError, match=r"--loss-type 3: .* 0 \(softmax\), .* 12 \(triplet\)"):
        create(3, {})


def test_a_flag_for_each_setting_names_the_losses_that_have_it():
    parser = argparse.ArgumentParser()
    add_settings(parser, losses())
    args = parser.parse_args(["--margin-m", "0.3", "--fc7-no-bias"])
    assert (args.margin_m, args.margin, args.fc7_no_bias) == (0.3, 4, True)
    text = " ".join(parser.format_help().split())
    assert "[loss 2, 4, 5]" in text
    assert "[loss 12]" in text
    assert create(4, vars(args)).margin_m == 0.3


def test_rows_of_the_documentation():
    rows = table_rows()
    assert rows[0] == ("0", "softmax", "x·w + b")
    assert rows[3] == ("4", "ArcFace", "s·cos(θ + m)")
    assert all(title and formula for _, title, formula in rows)


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 12])
def test_the_log_describes_the_expected_loss(number):
    loss = create(number, {})
    text = "\n".join(loss.describe(1000, 512))
    assert "expected loss" in text
    if number == 0:
        assert f"{math.log(1000):.2f} (ln 1000); accuracy starts at 1/1000" in text
    elif number != 12:
        assert f"untrained network: {loss.initial_loss(1000, 512):.2f}; accuracy" in text
        assert "because it includes the margin" in text


class Undecorated(ArcFace):
    share: float = setting(0.5, "a share")


@dataclasses.dataclass(frozen=True)
class OtherDefault(ArcFace):
    margin: float = setting(0.25, "a name that SphereFace has")


@dataclasses.dataclass(frozen=True)
class SwitchedOn(ArcFace):
    soft: bool = setting(True, "a switch")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Undecorated, "Undecorated needs the decorator"),
        (OtherDefault, "OtherDefault.margin: its default is 0.25, but another loss has 4"),
        (SwitchedOn, "SwitchedOn.soft: a flag can only be False by default"),
    ],
)
def test_settings_that_cannot_be_flags_name_the_loss(loss, message):
    with pytest.raises(TypeError, match=message):
        _check_settings([*losses().values(), loss])
