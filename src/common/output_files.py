"""Outputs appear whole or not at all: written aside, then renamed; and never among the inputs."""

import contextlib
import os


def lies_within(folder, other):
    """Whether a folder is another one or below it."""
    folder, other = os.path.realpath(folder), os.path.realpath(other)
    return os.path.commonpath([folder, other]) == other


@contextlib.contextmanager
def whole_file(path, mode="wb", **open_arguments):
    """Context manager that yields a file which takes its name only when the block succeeds.

    Parameters
    ----------
    path : str or PathLike
        The final name; missing folders above it are made.
    mode : {'wb', 'w'}
        As for `open`; text is UTF-8 with bare newlines.
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
