"""Checks, before hours of work, that its result can be written."""

import os
import tempfile

from src.common.errors import InputError


def check_output_file(path: str, flag: str) -> None:
    """InputError unless a file can be written at `path`; missing folders can be created.

    Parameters
    ----------
    flag
        That gave the path, for the message.
    """
    if not path or not os.path.basename(path) or os.path.isdir(path):
        raise InputError(f"{flag} {path}: this is a folder; give the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{flag} {path}: not an ordinary file; give the name of a file")
    _check_folder(os.path.dirname(path), f"{flag} {path}")


def check_output_folder(path: str, flag: str) -> None:
    """InputError unless files can be written into the folder `path`, which may be missing."""
    _check_folder(path, f"{flag} {path}")


def _check_folder(folder: str, what: str) -> None:
    """InputError unless a file can be created in the folder, or in the first one above it."""
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    folder = folder or "."
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{what}: cannot write to {folder} ({error.strerror}); choose another path"
        ) from None
