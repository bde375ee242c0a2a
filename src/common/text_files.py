"""Reads text files that any program may have written: with a byte-order mark or Windows line ends.

Text is UTF-8. UTF-16, which Windows tools write, is recognised and named in the error.
"""

import codecs
import io
import os
from collections.abc import Iterator

from src.common.errors import InputError

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOKED_AT = 4096  # bytes at the start of a file, from which UTF-16 is recognised


def read_lines(
    path: str | os.PathLike[str], undecodable: str = "strict"
) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, line without its end) for each line of a text file.

    A byte-order mark is removed, and lines may end with `\\n` or `\\r\\n`.

    Parameters
    ----------
    undecodable
        What becomes of bytes that are not UTF-8: 'strict' is an error, 'surrogateescape' preserves
        them in names of files, and 'replace' is for text that is only searched.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it is not UTF-8; the message gives file and line.
    """
    with open(path, "rb") as file:
        start = _peek(file)
        if is_utf_16(start):
            raise InputError(f"{path} is UTF-16 text: save it as UTF-8")
        for number, line in enumerate(file, 1):
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                text = content.decode("utf-8", undecodable)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: line {number}: byte {content[error.start]:#04x} is not UTF-8 text: "
                    "save the file as UTF-8"
                ) from None
            yield number, text.removesuffix("\n").removesuffix("\r")


def is_utf_16(start: bytes) -> bool:
    """Whether the start of a file is UTF-16 text, with a byte-order mark or without."""
    if start.startswith(_UTF_16_MARKS):
        return True
    # Every other byte of ASCII letters is zero; text in UTF-8 contains none.
    even, odd = start[0::2].count(0), start[1::2].count(0)
    return min(even, odd) == 0 and max(even, odd) > len(start) / 4


def _peek(file: io.BufferedReader) -> bytes:
    """The first bytes, which stay to be read: a pipe cannot be read twice."""
    return file.peek(_LOOKED_AT)[:_LOOKED_AT]
