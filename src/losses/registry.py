"""All losses, by number; no other module lists them."""

import argparse
import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from src.common.discovery import modules_of
from src.common.errors import InputError
from src.losses.base import Loss
from src.losses.classification import ClassificationLoss


@functools.cache
def losses() -> dict[int, type[Loss]]:
    """The losses that the modules of this package define, by number."""
    found: dict[int, type[Loss]] = {}
    for module in modules_of("src.losses"):
        for member in vars(module).values():
            is_loss = inspect.isclass(member) and issubclass(member, Loss)
            if is_loss and member.__module__ == module.__name__ and hasattr(member, "number"):
                if member.number in found:
                    raise TypeError(f"{found[member.number]} and {member} have the same number")
                found[member.number] = member
    _check_settings(found.values())
    return dict(sorted(found.items()))


def _check_settings(found: Iterable[type[Loss]]) -> None:
    """Raises TypeError for settings that cannot be flags.

    Losses may share a setting, which then is one flag with one default.
    """
    defaults: dict[str, Any] = {}
    for loss in found:
        if "__dataclass_fields__" not in vars(loss):
            raise TypeError(
                f"{loss.__name__} needs the decorator @dataclasses.dataclass(frozen=True)"
            )
        for field in dataclasses.fields(loss):
            default = defaults.setdefault(field.name, field.default)
            if (type(default), default) != (type(field.default), field.default):
                raise TypeError(
                    f"{loss.__name__}.{field.name}: its default is {field.default!r}, but another "
                    f"loss has {default!r}; choose another name"
                )
            if field.default is True:
                raise TypeError(
                    f"{loss.__name__}.{field.name}: a flag can only be False by default"
                )


def classification_losses() -> dict[int, type[Loss]]:
    """The losses that `train_softmax` offers."""
    return {
        number: loss for number, loss in losses().items() if issubclass(loss, ClassificationLoss)
    }


def create(number: int, settings: Mapping[str, Any]) -> Loss:
    """The loss of that number.

    Parameters
    ----------
    settings
        Values by field name, for example from a command line; other names are ignored, and missing
        ones get their default.

    Raises
    ------
    InputError
        There is no such loss, or its formula is not defined for a setting.
    """
    if number not in losses():
        known = ", ".join(f"{loss.number} ({loss.title})" for loss in losses().values())
        raise InputError(f"--loss-type {number}: expected one of {known}")
    loss = losses()[number]
    names = {field.name for field in dataclasses.fields(loss)}
    return loss(**{name: value for name, value in settings.items() if name in names})


def add_settings(parser: argparse._ActionsContainer, chosen: Mapping[int, type[Loss]]) -> None:
    """Adds a flag for each setting of the given losses; its help lists the losses that have it."""
    owners: dict[str, list[int]] = {}
    fields: dict[str, dataclasses.Field[Any]] = {}
    for number, loss in chosen.items():
        for field in dataclasses.fields(loss):
            owners.setdefault(field.name, []).append(number)
            fields.setdefault(field.name, field)
    for name, field in fields.items():
        numbers = ", ".join(map(str, owners[name]))
        flag, text = f"--{name.replace('_', '-')}", f"{field.metadata['help']} [loss {numbers}]"
        if isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true", help=text)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default, help=text)


def table_rows() -> list[tuple[str, str, str]]:
    """(number, title, formula) of each loss, for the documentation."""
    return [(str(loss.number), loss.title, loss.formula) for loss in losses().values()]
