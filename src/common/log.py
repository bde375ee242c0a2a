"""Logging on stderr, and progress bars that are silent if stderr is not a terminal."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

from src.common.errors import InputError, printable
from src.common.output_files import full_disk_named

Item = TypeVar("Item")

# 2018: `logging.info` printed "INFO:root:…", and tools that read training logs look for it.
LINE_FORMAT = "%(levelname)s:%(name)s:%(message)s"


class _PrintableFormatter(logging.Formatter):
    """Escapes what a terminal would obey; a traceback after the message keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message, kept="\t\n")
        return super().formatMessage(record)


def configure_logging(level: int = logging.INFO) -> None:
    """Sends the root logger's lines to stderr in the 2018 form; for commands, never at import."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter(LINE_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def progress_bar(description: str, unit: str, total: int | None = None) -> "tqdm[Any]":
    """A bar (count, rate, ETA) on stderr, to be updated; silent if stderr is not a terminal."""
    return tqdm(desc=description, unit=f" {unit}", total=total, disable=None)


def progress(
    iterable: Iterable[Item], description: str, unit: str = "photo", total: int | None = None
) -> Iterator[Item]:
    """Iterates with a bar (count, rate, ETA) on stderr; silent if stderr is not a terminal."""
    return iter(tqdm(iterable, desc=description, unit=f" {unit}", total=total, disable=None))


class _FileHandler(logging.StreamHandler):
    """Writes the lines to an open file; a full disk ends the run with one error that names it."""

    def emit(self, record: logging.LogRecord) -> None:
        with full_disk_named(self.stream.name):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise error
        super().handleError(record)


class _Tee:
    """A text stream that writes to another one and to a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._streams = (stream, file)

    def write(self, text: str) -> int:
        stream, file = self._streams
        stream.write(text)
        with full_disk_named(file.name):
            file.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()

    def isatty(self) -> bool:
        return False  # no progress bars in the file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams[0], name)


@contextlib.contextmanager
def appended_log(path: str) -> Iterator[None]:
    """Also appends everything that is printed and logged to a file, as `tee -a` does.

    An error that ends the block is written too. Call after `configure_logging`.

    Parameters
    ----------
    path
        Missing folders are created; '' does nothing.
    """
    if not path:
        yield
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    root = logging.getLogger()
    with (
        full_disk_named(path),  # also when the rest of the buffer is written
        open(path, "a", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(_Tee(sys.stdout, file)),
        contextlib.redirect_stderr(_Tee(sys.stderr, file)),
    ):
        handler = _FileHandler(file)
        handler.setFormatter(_PrintableFormatter(LINE_FORMAT))
        root.addHandler(handler)
        try:
            yield
        except (InputError, OSError) as error:
            with contextlib.suppress(OSError):
                file.write(f"error: {error}\n")
            raise
        except Exception:
            traceback.print_exc(file=file)
            raise
        finally:
            root.removeHandler(handler)
