"""Where MegaFace's feature files are, and the lists of photos that they belong to."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from src.common.errors import InputError
from src.common.text_files import read_lines
from src.formats.lists import parse_lst_line

FACESCRUB, MEGAFACE = "facescrub", "megaface"
_LEVELS = {FACESCRUB: 2, MEGAFACE: 3}  # the last parts of a path, which name a photo


class ListedPhoto(NamedTuple):
    """A photo of a list: its path there, and the last parts of that, which name it."""

    path: str
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parts as in MegaFace's lists of noise."""
        return "/".join(self.parts)

    def feature_path(self, folder: str, kind: str, algo: str) -> str:
        """Its feature file: `folder/kind/…/photo.jpg_algo.bin`."""
        *folders, last = self.parts
        return os.path.join(folder, kind, *folders, f"{last}_{algo}.bin")


def listed_photos(path: str, kind: str) -> Iterator[ListedPhoto]:
    """The photos of a list: a path in each line, or the lines of an aligned `.lst`.

    Parameters
    ----------
    kind
        `FACESCRUB`, whose photos are `person/photo`, or `MEGAFACE`, `group/person/photo`.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such list, or a path has too few parts.
    """
    levels = _LEVELS[kind]
    for number, line in read_lines(path, "surrogateescape"):
        if not line.strip():
            continue
        try:
            photo = parse_lst_line(line).image_path if "\t" in line else line.strip()
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        parts = tuple(photo.split("/")[-levels:])
        if len(parts) < levels or not all(parts) or {".", ".."} & set(parts):
            raise InputError(
                f"{path}, line {number}: {photo!r}: expected a path that ends with {levels} names, "
                f"such as {'/'.join(('group', 'person', 'photo.jpg')[-levels:])}"
            )
        yield ListedPhoto(photo, parts)
