"""Logging on stderr, and progress bars that are quiet when nobody watches."""

import logging
import sys

from tqdm import tqdm

# 2018: `logging.info` printed "INFO:root:…", and tools that read training logs look for it.
LINE_FORMAT = "%(levelname)s:%(name)s:%(message)s"


def configure_logging(level=logging.INFO):
    """Sends the root logger's lines to stderr in the 2018 form; for commands, never at import."""
    logging.basicConfig(level=level, format=LINE_FORMAT, stream=sys.stderr)


def progress(iterable, description, unit="photo", total=None):
    """Iterates with a bar (count, rate, ETA) on stderr; silent where stderr is no terminal."""
    return tqdm(iterable, desc=description, unit=f" {unit}", total=total, disable=None)
