"""Folders of photos, listed in a fixed order, with a report of everything that is passed over."""

import contextlib
import logging
import os
from collections.abc import Iterator

from src.common.errors import listed, printable
from src.common.locks import LOCK
from src.common.sources import RECORD

log = logging.getLogger(__name__)

HIDDEN = "hidden files and folders"
SPECIAL = "entries that are no ordinary files (pipes, devices, broken links)"
LINKS = "links to folders inside of other folders"
UNREADABLE = "folders that cannot be read (check their permissions)"

# A Mac adds it to a zip, with a twin of each file.
_MAC_TWINS = "__MACOSX"


class FolderScan:
    """Lists folders below a root, and remembers what it passes over.

    Hidden entries, entries that are neither files nor folders, and folders that cannot be read are
    never photos or people.

    Parameters
    ----------
    root

    Attributes
    ----------
    passed_over
        Paths relative to the root, by kind, such as `HIDDEN`.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.passed_over: dict[str, list[str]] = {}

    def pass_over(self, kind: str, path: str) -> None:
        """Remembers a path for the report."""
        self.passed_over.setdefault(kind, []).append(path)

    def entries(self, folder: str = "") -> tuple[list[str], list[str]]:
        """(names of the folders, names of the files) in a folder, sorted.

        Parameters
        ----------
        folder
            Relative to the root.

        Raises
        ------
        OSError
            The root itself cannot be read.
        """
        try:
            with os.scandir(os.path.join(self.root, folder)) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if not folder:
                raise
            self.pass_over(UNREADABLE, folder)
            return [], []
        folders, files = [], []
        for entry in entries:
            if _is_own(entry.name):
                continue
            if entry.name.startswith(".") or entry.name == _MAC_TWINS:
                self.pass_over(HIDDEN, os.path.join(folder, entry.name))
            elif entry.is_dir():
                folders.append(entry.name)
            elif _is_file(entry):
                files.append(entry.name)
            else:
                self.pass_over(SPECIAL, os.path.join(folder, entry.name))
        return folders, files

    def files_below(self, folder: str) -> list[str]:
        """Sorted paths, relative to the root, of the files in a folder and its subfolders."""
        found, waiting = [], [folder]
        while waiting:
            folder = waiting.pop()
            folders, files = self.entries(folder)
            found += [os.path.join(folder, name) for name in files]
            for path in (os.path.join(folder, name) for name in folders):
                if os.path.islink(os.path.join(self.root, path)):
                    self.pass_over(LINKS, path)  # it may lead back to here
                else:
                    waiting.append(path)
        return sorted(found)

    def is_readable(self, folder: str) -> bool:
        """Whether a folder that was listed could be read."""
        return folder not in self.passed_over.get(UNREADABLE, ())

    def report(self) -> None:
        """Logs a line for each kind of entry that was passed over."""
        for kind, paths in self.passed_over.items():
            names = listed(map(printable, paths), shown=5)
            log.warning("%s: %d %s are skipped: %s", self.root, len(paths), kind, names)


def _is_own(name: str) -> bool:
    """Whether a file was written by another step for itself."""
    return (
        name == RECORD or name.startswith(LOCK) or (name.startswith(".") and name.endswith(".part"))
    )


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to where this user may not look
        return False


@contextlib.contextmanager
def reported_scan(root: str) -> Iterator[FolderScan]:
    """A `FolderScan` of a root, with its report at the end."""
    scan = FolderScan(root)
    yield scan
    scan.report()


def may_exist(path: str) -> bool:
    """Whether a file or folder exists, or may exist in a folder that cannot be read."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True
