"""Shared by all commands: a parser whose help shows every default, and types for flags."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

from src.common.errors import InputError


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the description's lines, and adds the default to every flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        has_default = action.option_strings and action.default not in (argparse.SUPPRESS, None)
        if not has_default or isinstance(action, argparse._StoreTrueAction):
            return text
        if text and "(default:" not in text:
            text += " (default: empty)" if action.default == "" else " (default: %(default)s)"
        return text


def make_parser(description: str | None, **settings: Any) -> argparse.ArgumentParser:
    """A parser with `HelpFormatter`; `description` is the docstring of the command's module."""
    return argparse.ArgumentParser(
        description=description, formatter_class=HelpFormatter, **settings
    )


def resolve_arguments(
    parse_args: Callable[[Sequence[str] | None], argparse.Namespace],
    args: Sequence[str] | argparse.Namespace | None,
) -> argparse.Namespace:
    """The Namespace for a command's `main(args)`.

    Parameters
    ----------
    parse_args
        The command's own function.
    args
        A list of strings, None for `sys.argv`, or a Namespace, as 2018 scripts passed it.
    """
    return args if isinstance(args, argparse.Namespace) else parse_args(args)


def add_seed_argument(parser: argparse._ActionsContainer) -> None:
    """Adds `--seed`: the same number gives the same run."""
    parser.add_argument(
        "--seed",
        type=natural_int,
        default=None,
        help="makes the run repeatable (default: a new number)",
    )


def positive_int(text: str) -> int:
    """An integer of at least 1; for `type=`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer of at least 1")
    return int(text)


def natural_int(text: str) -> int:
    """An integer of at least 0; for `type=`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer of at least 0")
    return int(text)


def positive_float(text: str) -> float:
    """A finite number above 0; for `type=`."""
    return _checked_float(text, "above 0", lambda value: 0 < value < math.inf)


def natural_float(text: str) -> float:
    """A finite number of at least 0; for `type=`."""
    return _checked_float(text, "of at least 0", lambda value: 0 <= value < math.inf)


def share(text: str) -> float:
    """A number above 0, up to 1; for `type=`."""
    return _checked_float(text, "above 0, up to 1", lambda number: 0 < number <= 1)


def _checked_float(text: str, range_: str, is_valid: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_valid(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number {range_}")
    return value


def parse_image_size(text: str) -> tuple[int, int]:
    """(height, width) from '112,112', or from '112' for a square.

    Raises
    ------
    InputError
        It is not one or two integers above zero.
    """
    parts = [part.strip() for part in str(text).split(",")]
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"image size {text!r}: expected height,width such as 112,112")
    return int(parts[0]), int(parts[-1])
