"""What is to be aligned: a job for each photo, with the name of its face."""

import logging
import os
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from easydict import EasyDict

from src.align.journal import SETTINGS_OF_VERSION_1, Key
from src.align.settings import Settings
from src.align.styles import STYLES
from src.common.errors import InputError, listed, printable
from src.common.folders import may_exist
from src.common.output_files import remove_result
from src.formats.described_sets import Stored
from src.formats.photo_sets import OWN_FILES

log = logging.getLogger(__name__)


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


def make_job(item: EasyDict, name: str, target: str, settings: Settings) -> Job:
    """The job for an item of a data set.

    Parameters
    ----------
    name, target
        Name of its aligned face within the output folder, and the face's path.
    """
    stored = item.get("stored")
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


def plan(
    dataset: Sequence[EasyDict], output_dir: str, settings: Settings, source: int = 1
) -> tuple[list[Job], dict[int, str]]:
    """(jobs, in the order of the data set; {index of a photo without a job: reason})."""
    style = STYLES[settings.style]
    jobs: list[Job] = []
    rejected: dict[int, str] = {}
    photo_of: dict[str, str] = {}
    for number, item in enumerate(dataset):
        name = style.face_name(item, source)
        target = os.path.join(output_dir, name) if style.writes_faces else ""
        if target and os.path.abspath(target) == os.path.abspath(item.image_path):
            raise InputError(
                f"{item.image_path} would be overwritten by its aligned face: choose another "
                "--output-dir"
            )
        if name.split(os.sep)[0] in OWN_FILES:  # such as `lst`
            raise InputError(
                f"{item.image_path}: the faces of a folder with this name would take the place of "
                f"{os.path.join(output_dir, name.split(os.sep)[0])}, a file of this step: rename it"
            )
        other = photo_of.setdefault(name, item.image_path)
        if any(character in item.image_path + target for character in "\t\r\n"):
            rejected[number] = "a name with a tab or newline cannot be written to a list: rename it"
        elif other != item.image_path:
            rejected[number] = f"its aligned face would overwrite that of {other}: rename it"
        else:
            jobs.append(make_job(item, name, target, settings))
    return jobs, rejected


def remove_stale(
    names: Sequence[str],
    jobs: Sequence[Job],
    output_dir: str,
    source: int = 1,
    names_photos: bool = True,
) -> None:
    """Removes the faces of photos that no longer exist; reports those that are not listed any more.

    Parameters
    ----------
    names
        Of the faces that earlier runs wrote.
    jobs
        Those of this run.
    source
        Number of the input folder within the output folder.
    names_photos
        Whether a photo's path can be told from the name of its face; if not, nothing is removed.
    """
    if not jobs:
        return
    parts = os.path.abspath(jobs[0].photo).split(os.sep)
    root = os.sep.join(parts[: -1 - jobs[0].key.name.count(os.sep)])
    removed, left = [], []
    for name in sorted(set(names).difference(job.key.name for job in jobs)):
        face = os.path.join(output_dir, name)
        if not os.path.exists(face):
            continue
        data_set, *rest = name.split(os.sep)
        photo = os.path.join(root, data_set.removesuffix(f"-{source}"), *rest)
        if not names_photos or may_exist(photo) or may_exist(photo.removesuffix(".jpg")):
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
            "exist" if names_photos else "may exist",
            listed(map(printable, left), 5),
        )
