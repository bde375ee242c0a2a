"""What is to be aligned: a job for each photo, with the name of its face."""

import functools
import logging
import os
import zlib
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from src.align.journal import SETTINGS_OF_VERSION_1, Key, name_hash
from src.align.settings import Settings
from src.align.styles import STYLES
from src.common.errors import InputError, listed, printable
from src.common.folders import may_exist
from src.common.output_files import remove_result
from src.common.shards import WHOLE, Shard
from src.formats.photo_set import Item, PhotoSet, Stored
from src.formats.photo_sets import OWN_FILES

log = logging.getLogger(__name__)

TAB_OR_NEWLINE = frozenset("\t\r\n")


class Job(NamedTuple):
    """One photo to align.

    Attributes
    ----------
    target
        Path of its aligned face; '' if none is written.
    size
        Bytes of the file.
    stored
        Where the photo is, if it lies within a larger file.
    """

    photo: str
    target: str
    bbox: np.ndarray | None
    landmark: np.ndarray | None
    key: Key
    size: int = 0
    stored: Stored | None = None


class Plan:
    """The names of all faces, checked before the first photo is read.

    Parameters
    ----------
    photos
    output_dir
    settings
    source
        Number of the input folder within the output folder.
    shard
        The part of the photos to align.

    Attributes
    ----------
    places
        Of the photos to align.
    rejected
        Index of a photo that cannot be aligned → reason.
    names
        int64 (N,), a hash of the name of each face.

    Raises
    ------
    InputError
        Faces would overwrite photos, or files of this step.
    """

    def __init__(
        self,
        photos: PhotoSet,
        output_dir: str,
        settings: Settings,
        source: int = 1,
        shard: Shard = WHOLE,
    ) -> None:
        self._photos = photos
        self._settings = settings
        self._style = STYLES[settings.style]
        self._source = source
        self.output_dir = output_dir
        self.places = shard.places(len(photos))
        self.rejected: dict[int, str] = {}
        self.names = self._checked_names()
        self._reject_duplicates()

    @property
    def names_photos(self) -> bool:
        """Whether a photo's path can be told from the name of its face."""
        return self._style.names_photos

    def photo_of(self, name: str) -> str:
        """The path of the photo whose face has a name, if `names_photos`."""
        path = os.path.abspath(self._photos.path(0))
        levels = self._style.face_name(path, self._source).count(os.sep)
        root = path.split(os.sep)[: -1 - levels]
        data_set, *rest = name.split(os.sep)
        return os.sep.join([*root, data_set.removesuffix(f"-{self._source}"), *rest])

    def item(self, index: int) -> Item:
        """A photo."""
        return self._photos[index]

    def job(self, item: Item) -> Job:
        """The job for a photo that is not rejected."""
        name = self._style.face_name(item.image_path, self._source)
        return make_job(item, name, self._target(name), self._settings)

    def _target(self, name: str) -> str:
        return os.path.join(self.output_dir, name) if self._style.writes_faces else ""

    def _checked_names(self) -> np.ndarray:
        names = array("q")
        check = functools.lru_cache(maxsize=1)(self._check_folder)  # photos of one come together
        for index in range(len(self._photos)):
            path = self._photos.path(index)
            name = self._style.face_name(path, self._source)
            names.append(name_hash(name))
            check(os.path.dirname(path), os.path.dirname(name))
            if not TAB_OR_NEWLINE.isdisjoint(path) or not TAB_OR_NEWLINE.isdisjoint(name):
                self.rejected[index] = (
                    "a name with a tab or newline cannot be written to a list: rename it"
                )
        return np.frombuffer(names, np.int64) if names else np.empty(0, np.int64)

    def _check_folder(self, photos: str, faces: str) -> None:
        """InputError if faces in a folder would overwrite their photos, or files of this step."""
        if not self._style.writes_faces:
            return
        target = os.path.join(self.output_dir, faces)
        if os.path.abspath(target) == os.path.abspath(photos):
            raise InputError(
                f"{photos}: its photos would be overwritten by their aligned faces: choose another "
                "--output-dir"
            )
        first = faces.split(os.sep)[0]
        if first in OWN_FILES:  # such as `lst`
            raise InputError(
                f"{photos}: the faces of a folder with this name would take the place of "
                f"{os.path.join(self.output_dir, first)}, a file of this step: rename it"
            )

    def _reject_duplicates(self) -> None:
        """Rejects photos whose face has the name of an earlier one's."""
        order = np.argsort(self.names, kind="stable")
        hashes = self.names[order]
        same = np.flatnonzero(hashes[1:] == hashes[:-1])
        first_of: dict[str, str] = {}
        for index in sorted({int(place) for at in same for place in (order[at], order[at + 1])}):
            path = self._photos.path(index)
            other = first_of.setdefault(self._style.face_name(path, self._source), path)
            if other != path:
                self.rejected.setdefault(
                    index, f"its aligned face would overwrite that of {other}: rename it"
                )


def make_job(item: Item, name: str, target: str, settings: Settings) -> Job:
    """The job for an item of a data set.

    Parameters
    ----------
    name, target
        Name of its aligned face within the output folder, and the face's path.
    """
    stored = item.stored
    try:
        status = os.stat(stored.path if stored else item.image_path)
        stamp, size = f"{status.st_size}-{status.st_mtime_ns}", status.st_size
    except OSError:
        stamp, size = "missing", 0
    if stored:
        stamp, size = f"{stamp}-{stored.offset}", stored.size
    known = [None if value is None else value.tolist() for value in (item.bbox, item.landmark)]
    known_text = "" if known == [None, None] else f"{zlib.crc32(repr(known).encode()):08x}"
    covered = tuple(getattr(settings, name) for name in SETTINGS_OF_VERSION_1)
    version_1 = f"{stamp}-{zlib.crc32(repr((covered, known)).encode()):08x}"
    key = Key(name, stamp, known_text, version_1)
    return Job(item.image_path, target, item.bbox, item.landmark, key, size, stored)


def remove_stale(plan: Plan, names: Iterable[str]) -> None:
    """Removes the faces of photos that no longer exist; reports those that are not listed any more.

    Parameters
    ----------
    names
        Of the faces that earlier runs wrote and that are not in the plan.
    """
    output_dir = plan.output_dir
    removed, left = [], []
    for name in sorted(names):
        face = os.path.join(output_dir, name)
        if not os.path.exists(face):
            continue
        photo = plan.photo_of(name)
        if not plan.names_photos or may_exist(photo) or may_exist(photo.removesuffix(".jpg")):
            left.append(name)
            continue
        remove_result(face)
        removed.append(name)
    if removed:
        log.warning(
            "%d photos no longer exist; their faces are removed: %s",
            len(removed),
            listed(map(printable, removed), 5),
        )
    if left:
        log.warning(
            "%d faces in %s are not of this data set, although their photos %s; remove them unless "
            "you want them in a list: %s",
            len(left),
            output_dir,
            "exist" if plan.names_photos else "may exist",
            listed(map(printable, left), 5),
        )
