"""Folders of photos to be aligned: one `get_dataset_*` for each kind of data set, as in 2018.

Each returns a list of EasyDict, sorted by name (2018: in the order of the file system):

id : str
    Name within the data set.
classname : str
    The label, a number from 0.
image_path : str
bbox : float32 ndarray of shape (4,), or None
landmark : float32 ndarray of shape (3, 2), or None
    Left eye, right eye, nose.

Every file in a person's folder is listed; whether it is a photo is checked when it is read. Hidden
files and whatever else cannot be a photo or a person are logged and skipped (see `FolderScan`).
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from easydict import EasyDict

from src.common.errors import InputError
from src.common.folders import FolderScan, reported_scan
from src.common.json_text import parse_json
from src.common.text_files import read_lines
from src.formats.lists import LARGEST_COORDINATE

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
    if name not in DATASETS:
        raise InputError(f"data set kind {name!r}: expected one of {', '.join(DATASETS)}")
    if not os.path.isdir(input_dir):
        raise FileNotFoundError(f"{input_dir}: there is no such folder of photos")
    return DATASETS[name](input_dir)


def get_dataset_common(input_dir: str, min_images: int = 1) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>`; a person with fewer photos gets no label."""
    dataset: list[EasyDict] = []
    label, too_few = 0, []
    with reported_scan(input_dir) as scan:
        for person in _folders(scan, warn_of_files=True):
            photos = _photos(scan, person)
            if len(photos) < min_images:
                too_few.append(person)
                continue
            for photo in photos:
                dataset.append(_item(photo, label, input_dir))
            label += 1
    if dataset and all(os.path.isdir(item.image_path) for item in dataset):
        raise InputError(
            f"{input_dir}: the photos are one level deeper than <person>/<photo>; pass "
            f"{os.path.dirname(dataset[0].image_path)} instead"
        )
    if too_few:
        log.warning(
            "%s: %d person folders with fewer than %d photos get no label (the first is %s)",
            input_dir,
            len(too_few),
            min_images,
            too_few[0],
        )
    return dataset


def get_dataset_webface(input_dir: str) -> list[EasyDict]:
    """Items of `<input_dir>_clean_list.txt`, whose lines are `photo label`."""
    dataset = []
    for number, line in _list_lines(input_dir):
        fields = line.rsplit(None, 1)
        if len(fields) != 2 or not fields[1].isdecimal():
            raise InputError(f"{_clean_list(input_dir)}, line {number}: expected 'photo label'")
        dataset.append(_item(fields[0].replace("\\", "/"), fields[1], input_dir))
    return dataset


def get_dataset_celeb(input_dir: str) -> list[EasyDict]:
    """Items of `<input_dir>_clean_list.txt`, whose lines are `./m.<person>/<photo>`.

    Labels follow the order in which persons first appear. Other lines are ignored.
    """
    dataset = []
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
        dataset.append(_item(name, labels.setdefault(person, len(labels)), input_dir))
    return dataset


def get_dataset_facescrub(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>`; an empty folder gets a label too, as in 2018."""
    with reported_scan(input_dir) as scan:
        return [
            _item(photo, label, input_dir)
            for label, person in enumerate(_folders(scan))
            for photo in _photos(scan, person)
        ]


def get_dataset_megaface(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<group>/<person>/<photo>.jpg`, with box and landmarks from its json.

    The json of `a.jpg` is `a.jpg.json`. 2018: `….jpg.jpg` are ignored, and an empty folder gets a
    label too.
    """
    with reported_scan(input_dir) as scan:
        persons = [person for group in _folders(scan) for person in _folders(scan, group)]
        return [
            _described_item(photo, label, input_dir)
            for label, person in enumerate(persons)
            for photo in _photos(scan, person)
            if photo.endswith(".jpg") and not photo.endswith(".jpg.jpg")
        ]


def get_dataset_fgnet(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<photo>.JPG`, with box and landmarks from `<photo>.JPG.json`."""
    with reported_scan(input_dir) as scan:
        return [
            # 2018: here and in ytf the id is the whole path.
            _described_item(photo, label, input_dir, whole_path_id=True)
            for label, person in enumerate(_folders(scan))
            for photo in _photos(scan, person)
            if photo.endswith(".JPG")
        ]


def get_dataset_ytf(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<person>/<video>/<frame>`, labelled by person."""
    with reported_scan(input_dir) as scan:
        return [
            _item(frame, label, input_dir, whole_path_id=True)
            for label, person in enumerate(_folders(scan))
            for video in _folders(scan, person)
            for frame in _photos(scan, video)
        ]


def get_dataset_clfw(input_dir: str) -> list[EasyDict]:
    """Items of `input_dir/<photo>`, all with label 0."""
    with reported_scan(input_dir) as scan:
        return [_item(photo, 0, input_dir) for photo in _photos(scan)]


# Files that the previous steps write next to the person folders.
OWN_FILES = ("lst", "lst.journal", "lst.skipped", "names.tsv", "property")

# To add a kind, write its function above and add its name here, which makes it a choice of
# `align_megaface --name`.
# 2018: `webface` means person folders; `get_dataset_webface` can only be called directly.
DATASETS: dict[str, Callable[[str], list[EasyDict]]] = {
    "webface": get_dataset_common,
    "lfw": get_dataset_common,
    "vgg": get_dataset_common,
    "celeb": get_dataset_celeb,
    "facescrub": get_dataset_facescrub,
    "megaface": get_dataset_megaface,
    "fgnet": get_dataset_fgnet,
    "ytf": get_dataset_ytf,
    "clfw": get_dataset_clfw,
}


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
        log.warning(
            "%s: %d files next to the person folders are skipped (the first is %s)",
            scan.root,
            len(strays),
            strays[0],
        )
    return [os.path.join(folder, name) for name in folders]


def _item(name: str, label: int | str, input_dir: str, whole_path_id: bool = False) -> EasyDict:
    """A photo of which only the label is known."""
    path = os.path.join(input_dir, name)
    return EasyDict(
        id=path if whole_path_id else name,
        classname=str(label),
        image_path=path,
        bbox=None,
        landmark=None,
    )


def _described_item(name: str, label: int, input_dir: str, whole_path_id: bool = False) -> EasyDict:
    """A photo with box and landmarks from its json; a damaged json is ignored with a warning."""
    item = _item(name, label, input_dir, whole_path_id)
    path = item.image_path + ".json"
    if not os.path.exists(path):
        return item
    try:
        with open(path, "rb") as file:
            described = parse_json(file.read())
        box, points = described.get("bounding_box"), described.get("landmarks") or {}
        if box:
            corners = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
            item.bbox = _described_points(corners)
        # 2018: left and right are the person's in the json, the photo's in the template.
        if all(key in points for key in "102"):
            landmark = [(points[key]["x"], points[key]["y"]) for key in "102"]
            item.landmark = _described_points(landmark)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        log.warning("%s: not a description of a face (%r); it is ignored", path, error)
        item.bbox = item.landmark = None
    return item


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
