"""Folders of photos to be aligned: one `get_dataset_*` for each kind of data set, as in 2018.

Each returns a list of EasyDict with the first five fields of `photo_set.Item`, sorted by name
(2018: in the order of the file system). `find_photos` returns them in little memory.

Every file in a person's folder is listed; whether it is a photo is checked when it is read. Hidden
files and whatever else cannot be a photo or a person are logged and skipped (see `FolderScan`).
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from easydict import EasyDict

from src.common.errors import InputError
from src.common.folders import FolderScan, reported_scan
from src.common.json_text import parse_json
from src.common.text_files import read_lines
from src.formats.lists import LARGEST_COORDINATE
from src.formats.photo_set import Known, PhotoSet

log = logging.getLogger(__name__)


def get_dataset(name: str, input_dir: str) -> list[EasyDict]:
    """Items of a data set; `name` is its kind, a key of `DATASETS`.

    Raises
    ------
    FileNotFoundError
        The folder is missing, or the list file that this kind needs next to it.
    InputError
        The kind is unknown.
    """
    return _as_in_2018(find_photos(name, input_dir))


def find_photos(name: str, input_dir: str) -> PhotoSet:
    """As `get_dataset`, in little memory; boxes and landmarks are read with each item."""
    if name not in DATASETS:
        raise InputError(f"data set kind {name!r}: expected one of {', '.join(DATASETS)}")
    if not os.path.isdir(input_dir):
        raise FileNotFoundError(f"{input_dir}: there is no such folder of photos")
    return DATASETS[name](input_dir)


def get_dataset_common(input_dir: str, min_images: int = 1) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>`; a person with fewer photos gets no label."""
    return _as_in_2018(_common(input_dir, min_images))


def _common(input_dir: str, min_images: int = 1) -> PhotoSet:
    too_few: list[str] = []

    def photos(scan: FolderScan) -> Iterator[tuple[str, int]]:
        label, only_folders = 0, True
        first = ""
        for person in _folders(scan, warn_of_files=True):
            folders, files = scan.entries(person)
            if len(folders) + len(files) < min_images:
                too_few.append(person)
                continue
            only_folders &= not files
            first = first or os.path.join(input_dir, person, *folders[:1])
            for name in sorted(folders + files):
                yield f"{person}/{name}", label
            label += 1
        if first and only_folders and label:
            raise InputError(
                f"{input_dir}: the photos are one level deeper than <person>/<photo>; pass "
                f"{first} instead"
            )

    dataset = _scanned(input_dir, photos)
    if too_few:
        message = "%s: %d person folders with fewer than %d photos get no label (the first is %s)"
        log.warning(message, input_dir, len(too_few), min_images, too_few[0])
    return dataset


def get_dataset_webface(input_dir: str) -> list[EasyDict]:
    """Items of `<input_dir>_clean_list.txt`, whose lines are `photo label`."""
    return _as_in_2018(PhotoSet(input_dir, _labelled_lines(input_dir)))


def _labelled_lines(input_dir: str) -> Iterator[tuple[str, str]]:
    for number, line in _list_lines(input_dir):
        fields = line.rsplit(None, 1)
        if len(fields) != 2 or not fields[1].isdecimal():
            raise InputError(f"{_clean_list(input_dir)}, line {number}: expected 'photo label'")
        yield fields[0].replace("\\", "/"), fields[1]


def get_dataset_celeb(input_dir: str) -> list[EasyDict]:
    """Items of `<input_dir>_clean_list.txt`, whose lines are `./m.<person>/<photo>`.

    Labels follow the order in which persons first appear. Other lines are ignored.
    """
    return _as_in_2018(_celeb(input_dir))


def _celeb(input_dir: str) -> PhotoSet:
    return PhotoSet(input_dir, _celeb_lines(input_dir))


def _celeb_lines(input_dir: str) -> Iterator[tuple[str, int]]:
    labels: dict[str, int] = {}
    for number, line in _list_lines(input_dir):
        if not line.startswith("./m."):
            continue
        name = line[2:]
        person, _, photo = name.partition("/")
        if not photo or "/" in photo:
            raise InputError(
                f"{_clean_list(input_dir)}, line {number}: expected './m.person/photo', got "
                f"{line!r}"
            )
        yield name, labels.setdefault(person, len(labels))


def get_dataset_facescrub(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>`; an empty folder gets a label too, as in 2018."""
    return _as_in_2018(facescrub_photos(input_dir))


def facescrub_photos(input_dir: str) -> PhotoSet:
    """As `get_dataset_facescrub`, in little memory."""
    return _scanned(
        input_dir,
        lambda scan: (
            (photo, label)
            for label, person in enumerate(_folders(scan))
            for photo in _photos(scan, person)
        ),
    )


def get_dataset_megaface(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<group>/<person>/<photo>.jpg`, box and landmarks from `<photo>.jpg.json`.

    2018: `….jpg.jpg` are ignored, and an empty folder gets a label too.
    """
    return _as_in_2018(_megaface(input_dir))


def _megaface(input_dir: str) -> PhotoSet:
    def photos(scan: FolderScan) -> Iterator[tuple[str, int]]:
        persons = [person for group in _folders(scan) for person in _folders(scan, group)]
        for label, person in enumerate(persons):
            for photo in _photos(scan, person):
                if photo.endswith(".jpg") and not photo.endswith(".jpg.jpg"):
                    yield photo, label

    return _scanned(input_dir, photos, _described)


def get_dataset_fgnet(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>.JPG`, with box and landmarks from `<photo>.JPG.json`."""
    return _as_in_2018(_fgnet(input_dir))


def _fgnet(input_dir: str) -> PhotoSet:
    return _scanned(
        input_dir,
        lambda scan: (
            (photo, label)
            for label, person in enumerate(_folders(scan))
            for photo in _photos(scan, person)
            if photo.endswith(".JPG")
        ),
        _described,
        # 2018: here and in ytf the id is the whole path.
        whole_path_id=True,
    )


def get_dataset_ytf(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<video>/<frame>`, labelled by person."""
    return _as_in_2018(_ytf(input_dir))


def _ytf(input_dir: str) -> PhotoSet:
    return _scanned(
        input_dir,
        lambda scan: (
            (frame, label)
            for label, person in enumerate(_folders(scan))
            for video in _folders(scan, person)
            for frame in _photos(scan, video)
        ),
        whole_path_id=True,
    )


def get_dataset_clfw(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<photo>`, all with label 0."""
    return _as_in_2018(_clfw(input_dir))


def _clfw(input_dir: str) -> PhotoSet:
    return _scanned(input_dir, lambda scan: ((photo, 0) for photo in _photos(scan)))


# Files that the previous steps write next to the person folders.
OWN_FILES = ("lst", "lst.journal", "lst.skipped", "names.tsv", "property")

# To add a kind, write its function above and add its name here, for `align_megaface --name`.
# 2018: `webface` means person folders; `get_dataset_webface` can only be called directly.
DATASETS: dict[str, Callable[[str], PhotoSet]] = {
    "webface": _common,
    "lfw": _common,
    "vgg": _common,
    "celeb": _celeb,
    "facescrub": facescrub_photos,
    "megaface": _megaface,
    "fgnet": _fgnet,
    "ytf": _ytf,
    "clfw": _clfw,
}


def _as_in_2018(photos: PhotoSet) -> list[EasyDict]:
    return [item.as_in_2018() for item in photos]


def _scanned(
    input_dir: str,
    photos: Callable[[FolderScan], Iterable[tuple[str, int]]],
    describe: Callable[[str], Known] | None = None,
    whole_path_id: bool = False,
) -> PhotoSet:
    """The photos that a function finds in a folder."""
    with reported_scan(input_dir) as scan:
        return PhotoSet(input_dir, photos(scan), describe, whole_path_id)


def _photos(scan: FolderScan, folder: str = "") -> list[str]:
    """Sorted paths, relative to the root, of a folder's files, and of folders, which are no photos.

    They are listed so that the skipped photos contain them, with the reason.
    """
    folders, files = scan.entries(folder)
    return [os.path.join(folder, name) for name in sorted(folders + files)]


def _folders(scan: FolderScan, folder: str = "", warn_of_files: bool = False) -> list[str]:
    """Sorted paths, relative to the root, of the folders in a folder; files are skipped."""
    folders, files = scan.entries(folder)
    strays = [name for name in files if name not in OWN_FILES]
    if warn_of_files and strays:
        message = "%s: %d files next to the person folders are skipped (the first is %s)"
        log.warning(message, scan.root, len(strays), strays[0])
    return [os.path.join(folder, name) for name in folders]


def _described(photo: str) -> Known:
    """Box and landmarks from the json of a photo; a damaged json is ignored with a warning."""
    path = f"{photo}.json"
    bbox = landmark = None
    try:
        with open(path, "rb") as file:
            described = parse_json(file.read())
        box, points = described.get("bounding_box"), described.get("landmarks") or {}
        if box:
            corners = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
            bbox = _described_points(corners)
        # 2018: left and right are the person's in the json, the photo's in the template.
        if all(key in points for key in "102"):
            landmark = _described_points([(points[key]["x"], points[key]["y"]) for key in "102"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        log.warning("%s: not a description of a face (%r); it is ignored", path, error)
        return None, None
    return bbox, landmark


def _described_points(numbers: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """Coordinates as float32; ValueError if one cannot be in a photo."""
    points = np.array(numbers, dtype=np.float32)
    if not (np.abs(points) <= LARGEST_COORDINATE).all():  # also rejects NaN
        raise ValueError(f"coordinates {points.tolist()}")
    return points


def _clean_list(input_dir: str) -> str:
    """Path of the list next to the folder."""
    return input_dir.rstrip("/") + "_clean_list.txt"


def _list_lines(input_dir: str) -> Iterator[tuple[int, str]]:
    """Yields (number, stripped line) for each line of the list that is not blank."""
    path = _clean_list(input_dir)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is missing: this kind of data set needs it")
    for number, line in read_lines(path, "surrogateescape"):
        if line.strip():
            yield number, line.strip()
