"""Output files that appear complete or not at all, and a check for folders inside one another."""

import contextlib
import ctypes
import errno
import logging
import os
import pathlib
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from src.common.errors import InputError
from src.common.locks import open_locked

Path = str | os.PathLike[str]

log = logging.getLogger(__name__)

LONGEST_NAME = 255  # bytes, of a file name on Linux
PATIENCE = 5.0  # seconds to wait for another process that writes the same file
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIBC = ctypes.CDLL(None, use_errno=True)


class DiskFull(OSError):
    """There was no space for a file; the message names it, what it needs and what is free."""


def lies_within(folder: Path, other: Path) -> bool:
    """Whether a folder is the same as another one or inside it."""
    folder, other = os.path.realpath(folder), os.path.realpath(other)
    return os.path.commonpath([folder, other]) == other


def unfinished_name(name: str) -> str:
    """The name of a file until it is complete: hidden, so that no step takes it for a result."""
    hidden = f".{name}.part"
    if len(os.fsencode(hidden)) <= LONGEST_NAME:
        return hidden
    return f".{zlib.crc32(os.fsencode(name)):08x}.part"


@contextlib.contextmanager
def whole_file(
    path: Path, mode: str = "wb", size: int = 0, keep: bool = False, **open_arguments: Any
) -> Iterator[IO[Any]]:
    """Yields a file, which gets its final name only if the block succeeds.

    It is on the disk before it gets its name, so a power failure leaves the old file or the new
    one. What a killed run has left of it is replaced, with a line in the log.

    Parameters
    ----------
    path
        The final name; missing folders are created.
    mode
        'wb' or 'w', as for `open`; text is UTF-8 with `\\n` newlines.
    size
        In bytes, if known: for the message when the disk is full.
    keep
        Whether to leave the unfinished file, for a run that continues it, if the block ends with
        another error than InputError.

    Raises
    ------
    DiskFull
        The old file, if there is one, is unchanged.
    InputError
        Another process is writing this file.
    """
    path = os.fspath(path)
    folder, name = os.path.split(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    if "b" not in mode:
        open_arguments = {"encoding": "utf-8", "newline": "\n", **open_arguments}
    aside = os.path.join(folder, unfinished_name(name))
    with (
        full_disk_named(path, size, kept="; the old file is unchanged"),
        open(aside, mode, opener=lambda *_: _take(aside, path), **open_arguments) as file,
    ):
        try:
            yield file
            flush_to_disk(file)
            os.replace(aside, path)
        except BaseException as error:
            if not keep or isinstance(error, InputError):
                with contextlib.suppress(OSError):
                    os.remove(aside)
            raise
    _flush_folder(folder or ".")


def write_files(contents: Sequence[tuple[str, bytes]]) -> None:
    """Writes small files in the same way as `whole_file`, with one flush of the disk for all.

    Parameters
    ----------
    contents
        (path, bytes) of each.

    Raises
    ------
    DiskFull, InputError
        As for `whole_file`; none of the files has changed.
    """
    with contextlib.ExitStack() as opened:
        renames = []
        for path, content in contents:
            folder, name = os.path.split(path)
            os.makedirs(folder or ".", exist_ok=True)
            aside = os.path.join(folder, unfinished_name(name))
            with full_disk_named(path, len(content), kept="; the old file is unchanged"):
                # Without a buffer, whose rest would fail again when the file is closed.
                descriptor = _take(aside, path, logging.INFO)
                opened.callback(os.close, descriptor)
                opened.callback(pathlib.Path(aside).unlink, missing_ok=True)
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            renames.append((aside, path))
        if renames:
            with full_disk_named(path, kept="; the old file is unchanged"):
                _flush_file_system(descriptor)
            for aside, path in renames:
                os.replace(aside, path)
            _flush_file_system(descriptor)


def _flush_file_system(descriptor: int) -> None:
    """Returns when everything on the file system of an open file is on the disk."""
    if not hasattr(_LIBC, "syncfs"):
        os.sync()
    elif _LIBC.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _take(aside: str, path: str, level: int = logging.WARNING) -> int:
    """The descriptor of the empty file `aside`, which no other process writes.

    Parameters
    ----------
    level
        Of the line in the log if an earlier run has left a part of the file.
    """
    give_up_at = time.monotonic() + PATIENCE
    while (descriptor := open_locked(aside)) is None:
        if time.monotonic() > give_up_at:
            raise InputError(
                f"{path} is being written by another run: wait until it ends, or choose another "
                "name"
            )
        time.sleep(0.05)
    if os.fstat(descriptor).st_size:
        log.log(level, "%s: the unfinished file of an earlier run is replaced", path)
        os.truncate(descriptor, 0)
    return descriptor


@contextlib.contextmanager
def full_disk_named(path: Path, size: int = 0, kept: str = "") -> Iterator[None]:
    """Turns the error of a full disk, which names no file, into `DiskFull`.

    Parameters
    ----------
    path
        The file that the block writes.
    size
        In bytes, if known.
    kept
        Added to the message if the file exists.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        folder = os.path.dirname(os.fspath(path)) or "."
        disk = os.statvfs(folder)
        needed = f", which needs {size:,} bytes" if size else ""
        raise DiskFull(
            f"no space for {path}{needed}: {disk.f_bavail * disk.f_frsize:,} bytes are free in "
            f"{folder}{kept if os.path.exists(path) else ''}. Free some space, then run the same "
            "command again"
        ) from None


def remove_result(path: Path) -> None:
    """Removes a file if it exists, and then its folder if that is empty."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(os.fspath(path)))


def flush_to_disk(file: IO[Any]) -> None:
    """Returns when everything that was written to the file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: str) -> None:
    """Returns when the names in a folder are on the disk, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
