"""Output files that appear complete or not at all, and a check for folders inside one another."""

import contextlib
import os
from collections.abc import Iterator
from typing import IO, Any

Path = str | os.PathLike[str]


def lies_within(folder: Path, other: Path) -> bool:
    """Whether a folder is the same as another one or inside it."""
    folder, other = os.path.realpath(folder), os.path.realpath(other)
    return os.path.commonpath([folder, other]) == other


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb", **open_arguments: Any) -> Iterator[IO[Any]]:
    """Yields a file, which gets its final name only if the block succeeds.

    Parameters
    ----------
    path
        The final name; missing folders are created.
    mode
        'wb' or 'w', as for `open`; text is UTF-8 with `\\n` newlines.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    if "b" not in mode:
        open_arguments = {"encoding": "utf-8", "newline": "\n", **open_arguments}
    aside = f"{path}.{os.getpid()}.part"
    try:
        with open(aside, mode, **open_arguments) as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        raise
