"""Types of flags, and help texts."""

import argparse

import pytest

from src.common.arguments import (
    make_parser,
    natural_float,
    natural_int,
    parse_image_size,
    positive_float,
    positive_int,
)
from src.common.errors import InputError


@pytest.mark.parametrize(("kind", "text", "value"), [(positive_int, "3", 3), (natural_int, "0", 0)])
def test_integers(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "smallest"),
    [
        *[(positive_int, text, 1) for text in ("0", "-1", "1.5", "", "x")],
        *[(natural_int, text, 0) for text in ("-1", "0.5", "")],
    ],
)
def test_wrong_integers_name_the_smallest(kind, text, smallest):
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text!r}.* at least {smallest}"):
        kind(text)


def test_help_shows_every_default():
    parser = make_parser("What it does.\n\n    an example line")
    parser.add_argument("--size", type=int, default=3, help="how large")
    parser.add_argument("--mark", default="", help="what to write")
    parser.add_argument("--percent", type=float, default=0.5, help="100 %% is all")
    parser.add_argument("--own", default=7, help="the usual (default: %(default)s, in fact)")
    parser.add_argument("--fast", action="store_true", help="a switch")
    parser.add_argument("--chosen", default=None, help="chosen by the program")
    parser.add_argument("name", help="required")
    text = " ".join(parser.format_help().split("\n\n", 1)[1].split())
    assert "    an example line\n" in parser.format_help()
    assert "how large (default: 3)" in text
    assert "what to write (default: empty)" in text
    assert "100 % is all (default: 0.5)" in text
    assert "the usual (default: 7, in fact)" in text
    assert "a switch" in text
    assert "a switch (" not in text
    assert "by the program" in text
    assert "by the program (" not in text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(positive_float, "0.1", 0.1), (natural_float, "0", 0.0), (natural_float, "1e-4", 1e-4)],
)
def test_numbers(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(positive_float, text) for text in ("0", "-1", "inf", "nan", "", "x")],
        *[(natural_float, text) for text in ("-0.1", "inf", "nan", "", "x")],
    ],
)
def test_wrong_numbers(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text!r}: expected a number"):
        kind(text)


@pytest.mark.parametrize(("text", "size"), [("112,96", (112, 96)), ("112", (112, 112))])
def test_image_size(text, size):
    assert parse_image_size(text) == size


@pytest.mark.parametrize("text", ["", "112,", "0,112", "1,2,3", "a", "-112"])
def test_wrong_image_size(text):
    with pytest.raises(InputError, match="112,112"):
        parse_image_size(text)
