"""What 2018's five aligners do with a photo, by the name of the script, and how they name faces."""

import functools
import os
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from src.align.choices import FACE_CHOICES
from src.align.detector import Detector, Found
from src.align.journal import Outcome
from src.align.ladder import WAYS, align_photos, try_ways
from src.align.one_detection import find_once, warp_found
from src.align.photo import Photo
from src.align.settings import Settings
from src.common.output_files import LONGEST_NAME
from src.formats.lists import format_aligned_line, format_unaligned_line
from src.formats.photo_set import Item

# Formats that OpenCV writes and the training iterators read; other photos become .jpg.
KEPT_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp")

LIST_NAME = "lst"
INSIGHT_LIST_NAME = "faceinsight_align_{kind}.lst"

# ---------------------------------------------------------------------------------- faces


def _megaface(photos: Sequence[Photo], detector: Detector, settings: Settings) -> None:
    align_photos(
        photos,
        detector,
        settings.image_size,
        settings.keep_undetected,
        FACE_CHOICES[settings.face],
        settings.min_size,
    )


def _facescrub(photos: Sequence[Photo], detector: Detector, settings: Settings) -> None:
    try_ways(photos, detector, settings.image_size, FACE_CHOICES[settings.face])


def _one_detection(photos: Sequence[Photo], detector: Detector, settings: Settings) -> None:
    find_once(photos, detector, settings.min_size, FACE_CHOICES[settings.face])
    warp_found(photos, settings.image_size, settings.keep_undetected)


def _insight(photos: Sequence[Photo], detector: Detector, settings: Settings) -> None:
    find_once(photos, detector, settings.min_size, FACE_CHOICES[settings.face])
    for photo in photos:
        if photo.found is not None:
            photo.way = 0
        elif photo.waiting and settings.keep_undetected:
            photo.way = 1
        elif photo.waiting:
            photo.reason = "no face found"


# ---------------------------------------------------------------------------------- names


def face_name(photo: str, source: int = 1) -> str:
    """Name of a photo's aligned face within the output folder: `<set>/<person>/<photo>`.

    Set and person are the two folders above the photo, whatever they mean in that data set.

    Parameters
    ----------
    source
        Number of the input folder within the output folder; from 2 on the set is `<set>-2`, ….
    """
    data_set, person, name = _last_parts(photo)
    if source > 1:
        data_set = f"{data_set}-{source}"
    if not name.lower().endswith(KEPT_EXTENSIONS):
        name += ".jpg"
    if len(name) > LONGEST_NAME // 4 and len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{zlib.crc32(os.fsencode(name)):08x}.jpg"
    return f"{data_set}/{person}/{name}"


def _last_parts(photo: str) -> tuple[str, str, str]:
    """(set, person, name) of a path."""
    folder, name = os.path.split(photo)
    return *_last_folders(folder), name


@functools.lru_cache(maxsize=16)
def _last_folders(folder: str) -> tuple[str, str]:
    data_set, person = os.path.abspath(folder).split(os.sep)[-2:]
    return data_set, person


def _without_set(photo: str, source: int = 1) -> str:
    """2018: `<person>/<photo>`."""
    name = face_name(photo, source)
    return name.split(os.sep, 1)[1] if source == 1 else name


def _facescrub_name(photo: str, source: int = 1) -> str:
    """2018: `<person>/<photo>.png`, with underscores for spaces."""
    data_set, person, name = _last_parts(photo)
    name = f"{person}/{os.path.splitext(name)[0]}.png".replace(" ", "_")
    return name if source == 1 else f"{data_set}-{source}/{name}"


def _path(photo: str, source: int = 1) -> str:
    return os.path.abspath(photo)


# ---------------------------------------------------------------------------------- list lines


def _aligned_line(item: Item, target: str, outcome: Outcome) -> str:
    return format_aligned_line(target, int(item.classname))


def _insight_line(item: Item, target: str, outcome: Outcome) -> str:
    """The photo with the box and landmarks that were found, or what is known of them."""
    if outcome.found is None:
        line = f"0\t{item.image_path}\t{int(item.classname)}"
        box = () if item.bbox is None else tuple(map(int, item.bbox))
        return "\t".join([line, *map(str, box)])
    found = Found.of(outcome.found)
    return format_unaligned_line(
        item.image_path, int(item.classname), found.box, found.landmark, _spell_float32
    )


def _spell_float32(value: float) -> str:
    """The shortest text of a single-precision number."""
    return str(np.float32(value))


class Style(NamedTuple):
    """How one of 2018's scripts aligns.

    Attributes
    ----------
    align
        Sets `way`, or `reason`, of each photo; and `face`, if faces are written.
    ways
        Descriptions of the values of `way`.
    face_name
        Name of a photo's face within the output folder, given its path and `source` as in
        `face_name`.
    list_name
        Name of the list; `{kind}` is that of the data set.
    line
        A line of the list for an item, the path of its face, and its outcome.
    writes_faces
        Whether aligned faces are written.
    names_photos
        Whether the photo's own name can be told from that of its face.
    """

    align: Callable[[Sequence[Photo], Detector, Settings], None]
    ways: tuple[str, ...]
    face_name: Callable[[str, int], str] = _without_set
    list_name: str = LIST_NAME
    line: Callable[[Item, str, Outcome], str] = _aligned_line
    writes_faces: bool = True
    names_photos: bool = True


_WAYS = tuple(way.description for way in WAYS)

STYLES = {
    "megaface": Style(_megaface, _WAYS, face_name),
    "lfw": Style(_one_detection, ("face found", "centre cropped")),
    "celeb": Style(
        _one_detection, ("face found",), list_name=INSIGHT_LIST_NAME, names_photos=False
    ),
    "facescrub": Style(_facescrub, _WAYS, _facescrub_name, names_photos=False),
    "insight": Style(
        _insight,
        ("face found", "no face found, listed without landmarks"),
        _path,
        INSIGHT_LIST_NAME,
        _insight_line,
        writes_faces=False,
    ),
}
"""By the name of 2018's script, without `align_`."""
