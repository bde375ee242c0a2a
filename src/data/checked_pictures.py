"""Which pictures a stopped run has found to be complete, so that the next one need not decode them.

Next to the unfinished `lfw.bin` is `.lfw.bin.journal`, with a JSON list for each picture:
`[path, stamp of its file, height, width]`. A line that cannot be read is ignored.
"""

import contextlib
import json
import os
import pathlib

from src.common.output_files import full_disk_named


class CheckedPictures:
    """Context manager: sizes of complete pictures. The file stays only if the work is interrupted.

    Parameters
    ----------
    output
        The file that is made from the pictures.
    """

    def __init__(self, output: str) -> None:
        folder, name = os.path.split(output)
        self._path = os.path.join(folder, f".{name}.journal")
        self._sizes: dict[tuple[str, str], tuple[int, int]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in pathlib.Path(self._path).read_bytes().splitlines():
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    path, stamp, height, width = json.loads(line)
                    self._sizes[str(path), str(stamp)] = int(height), int(width)

    def __enter__(self) -> "CheckedPictures":
        self._file = open(self._path, "a", encoding="ascii")
        self._file.write("\n")  # the last line may be incomplete
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None or issubclass(kind, Exception):
            pathlib.Path(self._path).unlink(missing_ok=True)

    def size(self, path: str) -> tuple[int, int] | None:
        """(height, width) of a picture that is known to be complete; otherwise None."""
        return self._sizes.get((path, _stamp(path)))

    def add(self, path: str, size: tuple[int, int]) -> None:
        """Records a picture that was decoded."""
        with full_disk_named(self._path):
            self._file.write(json.dumps([path, _stamp(path), *size]) + "\n")
            self._file.flush()


def _stamp(path: str) -> str:
    status = os.stat(path)
    return f"{status.st_size}-{status.st_mtime_ns}"
