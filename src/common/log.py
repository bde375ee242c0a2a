"""Logging on stderr, and progress bars that are quiet when nobody watches."""

import contextlib
import logging
import os
import sys
import traceback

from tqdm import tqdm

from src.common.errors import InputError

# 2018: `logging.info` printed "INFO:root:…", and tools that read training logs look for it.
LINE_FORMAT = "%(levelname)s:%(name)s:%(message)s"


def configure_logging(level=logging.INFO):
    """Sends the root logger's lines to stderr in the 2018 form; for commands, never at import."""
    logging.basicConfig(level=level, format=LINE_FORMAT, stream=sys.stderr)


def progress(iterable, description, unit="photo", total=None):
    """Iterates with a bar (count, rate, ETA) on stderr; silent where stderr is no terminal."""
    return tqdm(iterable, desc=description, unit=f" {unit}", total=total, disable=None)


class _Tee:
    """A text stream that writes to two."""

    def __init__(self, first, second):
        self._streams = (first, second)

    def write(self, text):
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self):
        for stream in self._streams:
            stream.flush()

    def isatty(self):
        return False  # no progress bars into the file

    def __getattr__(self, name):
        return getattr(self._streams[0], name)


@contextlib.contextmanager
def appended_log(path):
    """While it lasts, what is printed and logged is also appended to the file, as `tee -a` does.

    An error that ends it is noted too. Call after `configure_logging`.

    Parameters
    ----------
    path : str
        Missing folders are made; '' does nothing.
    """
    if not path:
        yield
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    root = logging.getLogger()
    with (
        open(path, "a", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(_Tee(sys.stdout, file)),
        contextlib.redirect_stderr(_Tee(sys.stderr, file)),
    ):
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter(LINE_FORMAT))
        root.addHandler(handler)
        try:
            yield
        except (InputError, OSError) as error:
            file.write(f"error: {error}\n")
            raise
        except Exception:
            traceback.print_exc(file=file)
            raise
        finally:
            root.removeHandler(handler)
