"""Checkpoints by their names: on the command line and in their folder.

A checkpoint is `prefix-symbol.json` (the graph) and `prefix-0001.params` (the parameters of
save 1); on the command line it is `prefix,1`.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Sequence

from src.common.errors import InputError, listed

log = logging.getLogger(__name__)

_EPOCHS = re.compile(r"\d+(\|\d+)*")
_PARAMS_FILE = re.compile(r"(?P<prefix>.+)-(?P<epoch>\d{4,})\.params")


def split_model(text: str) -> tuple[str, list[int] | None]:
    """(prefix, epochs) of 'prefix,1|2'; the epochs are None if only a prefix is given.

    Instead of the prefix, the folder of the only model in it may be given.

    Raises
    ------
    InputError
        The part after the last comma is not an epoch, and no checkpoint has the complete text as
        its prefix; or it is a folder that does not contain exactly one model.
    """
    prefix, comma, epochs = text.rpartition(",")
    if comma and _EPOCHS.fullmatch(epochs.strip()):
        return _prefix_in(prefix), [int(epoch) for epoch in epochs.split("|")]
    if not text or (comma and not find_epochs(text) and not os.path.isdir(text)):
        raise InputError(
            f"model {text!r}: expected prefix,epoch (as in ../model/softmax,50), prefix,1|2|3, "
            "or a prefix alone"
        )
    return _prefix_in(text), None


def _prefix_in(prefix: str) -> str:
    """The prefix itself, or that of the only model in it if it is a folder.

    Raises
    ------
    InputError
        The folder contains several models, or none; the message lists those in or below it.
    """
    if find_epochs(prefix) or not os.path.isdir(prefix):
        return prefix
    names = sorted({name for name, _ in _checkpoints_in(prefix)})
    if len(names) == 1:
        return os.path.join(prefix, names[0])
    if names:
        raise InputError(
            f"{prefix} is a folder with {len(names)} models: name one of them, "
            f"{listed(os.path.join(prefix, name) for name in names)}"
        )
    below = [
        f"{os.path.join(prefix, folder, name)},{epoch}"
        for folder in sorted(os.listdir(prefix))
        for name, epoch in _checkpoints_in(os.path.join(prefix, folder))
    ]
    raise InputError(
        f"{prefix} is a folder without checkpoints (<prefix>-<epoch>.params); checkpoints in its "
        f"folders: {listed(below) or 'none'}"
    )


def parse_model(text: str) -> tuple[str, list[int]]:
    """(prefix, epochs) of a `--model` value whose files all exist.

    Parameters
    ----------
    text
        'prefix,1', 'prefix,1|2|3', or 'prefix', which means all epochs found, the newest first.

    Raises
    ------
    InputError
        There is no such checkpoint; the message lists those in the folder.
    """
    prefix, wanted = split_model(text)
    found = find_epochs(prefix)
    epochs = found[::-1] if wanted is None else wanted
    missing = sorted(set(epochs) - set(found))
    if missing or not epochs or not os.path.exists(symbol_path(prefix)):
        raise InputError(
            f"{_describe_missing(prefix, missing, epochs)}; {_describe_existing(prefix)}"
        )
    return prefix, epochs


def parse_one_model(text: str, flag: str = "--model") -> tuple[str, int]:
    """(prefix, epoch) of a flag that takes one checkpoint.

    For a prefix alone it is the newest one, which is logged.

    Raises
    ------
    InputError
        Several epochs are given, or there is no such checkpoint.
    """
    prefix, epochs = parse_model(text)
    if split_model(text)[1] is None:
        log.info("%s %s: the newest checkpoint is taken, %s,%d", flag, text, prefix, epochs[0])
    elif len(epochs) > 1:
        raise InputError(f"{flag} {text}: name one epoch, e.g. {prefix},{epochs[-1]}")
    return prefix, epochs[0]


def symbol_path(prefix: str) -> str:
    """Path of a checkpoint's graph."""
    return f"{prefix}-symbol.json"


def params_path(prefix: str, epoch: int) -> str:
    """Path of a checkpoint's parameters."""
    return f"{prefix}-{epoch:04d}.params"


def find_epochs(prefix: str) -> list[int]:
    """The epochs for which `prefix-<epoch>.params` exists, ascending."""
    name = os.path.basename(prefix)
    return sorted(epoch for found, epoch in _checkpoints_in(_folder(prefix)) if found == name)


def _folder(prefix: str) -> str:
    return os.path.dirname(prefix) or "."


def _checkpoints_in(folder: str) -> Iterator[tuple[str, int]]:
    """Yields (prefix without folder, epoch) for each params file; nothing for a missing folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(folder)):
            match = _PARAMS_FILE.fullmatch(name)
            if match:
                yield match["prefix"], int(match["epoch"])


def _describe_missing(prefix: str, missing: Sequence[int], epochs: Sequence[int]) -> str:
    """What is missing for these epochs, of which those in `missing` have no params."""
    if not os.path.isdir(_folder(prefix)):
        return f"no folder {_folder(prefix)}"
    if missing:
        return f"no {listed(params_path(prefix, epoch) for epoch in missing)}"
    if not epochs:
        return f"no checkpoint {prefix}-<epoch>.params"
    return f"no {symbol_path(prefix)}, the graph that belongs to {params_path(prefix, epochs[0])}"


def _describe_existing(prefix: str) -> str:
    """The checkpoints in the folder of a prefix."""
    if not os.path.isdir(_folder(prefix)):
        return "check the path"
    found = [f"{name},{epoch}" for name, epoch in _checkpoints_in(_folder(prefix))]
    return f"checkpoints in {_folder(prefix)}: {listed(found) or 'none'}"
