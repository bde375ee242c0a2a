"""What photos a data set has, for each kind of folder that 2018 knew, and its `property` file.

Every `get_dataset_*` returns a list of EasyDict, in an order that does not depend on the file
system (2018: the order in which the folder happened to list them):

id : str
    Name within the data set.
classname : str
    The label, a number from 0.
image_path : str
bbox : float32 ndarray of shape (4,), or None
landmark : float32 ndarray of shape (3, 2), or None
    Left eye, right eye, nose.

Whatever lies in a person's folder is listed, photo or not: who reads it says what it is.
"""

import json
import logging
import os

import numpy as np
from easydict import EasyDict

from src.common.errors import InputError
from src.common.output_files import whole_file

log = logging.getLogger(__name__)

LARGEST_COORDINATE = 1 << 16  # pixels: JPEG's largest side; a box is cut out as large as it says


# ---------------------------------------------------------------------------------- property


def load_property(data_dir):
    """EasyDict(num_classes, image_size [height, width]) of a data set's `property` file.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such folder or file, or it is not `classes,height,width`.
    """
    path = os.path.join(data_dir, "property")
    if data_dir and not os.path.isdir(data_dir):
        raise FileNotFoundError(
            f"{data_dir}: there is no such folder (--data-dir: where property and the data set lie)"
        )
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: one line classes,height,width, e.g. 85742,112,112"
        ) from None
    fields = [field.strip() for field in lines[0].split(",")] if len(lines) == 1 else []
    if len(fields) != 3 or not all(field.isdigit() and int(field) > 0 for field in fields):
        found = lines[0] if len(lines) == 1 else f"{len(lines)} lines"
        raise InputError(
            f"{path}: expected one line classes,height,width, e.g. 85742,112,112; got {found!r}"
        )
    classes, height, width = map(int, fields)
    return EasyDict(num_classes=classes, image_size=[height, width])


def write_property(path, classes, image_size):
    """Writes a `property` file.

    Parameters
    ----------
    path : str
        The file itself, `<data_dir>/property`.
    classes : int
    image_size : (int, int)
        Height, width.
    """
    with whole_file(path, "w") as file:
        # 2018: without a line end, so that the file's bytes are those of old data sets.
        file.write(f"{classes:d},{image_size[0]:d},{image_size[1]:d}")


# ---------------------------------------------------------------------------------- data sets


def get_dataset(name, input_dir):
    """Items of a data set of the kind `name`; the kinds are the keys of `DATASETS`.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or not the list file that the kind needs beside it.
    InputError
        Unknown kind.
    """
    if name not in DATASETS:
        raise InputError(f"data set kind {name!r}: expected one of {', '.join(DATASETS)}")
    if not os.path.isdir(input_dir):
        raise FileNotFoundError(f"{input_dir}: there is no such folder of photos")
    return DATASETS[name](input_dir)


def get_dataset_common(input_dir, min_images=1):
    """Items of `input_dir/<person>/<photo>`; a person with fewer photos has no label."""
    dataset, label, left_out = [], 0, []
    for person in _folders(input_dir, warn_of_files=True):
        photos = _entries(os.path.join(input_dir, person))
        if len(photos) < min_images:
            left_out.append(person)
            continue
        for photo in photos:
            dataset.append(_item(os.path.join(person, photo), label, input_dir))
        label += 1
    if left_out:
        log.warning(
            "%s: %d person folders with fewer than %d photos get no label (the first is %s)",
            input_dir,
            len(left_out),
            min_images,
            left_out[0],
        )
    return dataset


def get_dataset_webface(input_dir):
    """Items of `<input_dir>_clean_list.txt`, whose lines are `photo label`."""
    dataset = []
    for number, line in _list_lines(input_dir):
        fields = line.rsplit(None, 1)
        if len(fields) != 2 or not fields[1].isdigit():
            raise InputError(f"{_clean_list(input_dir)}, line {number}: expected 'photo label'")
        dataset.append(_item(fields[0].replace("\\", "/"), fields[1], input_dir))
    return dataset


def get_dataset_celeb(input_dir):
    """Items of `<input_dir>_clean_list.txt`, whose lines are `./m.<person>/<photo>`.

    Labels are given in the order in which persons first appear. Other lines are passed over.
    """
    dataset, labels = [], {}
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


def get_dataset_facescrub(input_dir):
    """Items of `input_dir/<person>/<photo>`; an empty folder has a label too, as in 2018."""
    return [
        _item(os.path.join(person, photo), label, input_dir)
        for label, person in enumerate(_folders(input_dir))
        for photo in _entries(os.path.join(input_dir, person))
    ]


def get_dataset_megaface(input_dir):
    """Items of `input_dir/<group>/<person>/<photo>.jpg`, with box and landmarks of `<photo>.json`.

    2018: `….jpg.jpg` are passed over, and an empty folder has a label too.
    """
    persons = [
        os.path.join(group, person)
        for group in _folders(input_dir)
        for person in _folders(os.path.join(input_dir, group))
    ]
    return [
        _described_item(os.path.join(person, photo), label, input_dir)
        for label, person in enumerate(persons)
        for photo in _entries(os.path.join(input_dir, person))
        if photo.endswith(".jpg") and not photo.endswith(".jpg.jpg")
    ]


def get_dataset_fgnet(input_dir):
    """Items of `input_dir/<person>/<photo>.JPG`, with box and landmarks of `<photo>.JPG.json`."""
    return [
        # 2018: here and in ytf the id is the whole path.
        _described_item(os.path.join(person, photo), label, input_dir, whole_path_id=True)
        for label, person in enumerate(_folders(input_dir))
        for photo in _entries(os.path.join(input_dir, person))
        if photo.endswith(".JPG")
    ]


def get_dataset_ytf(input_dir):
    """Items of `input_dir/<person>/<video>/<frame>`, labelled by person."""
    return [
        _item(os.path.join(person, video, frame), label, input_dir, whole_path_id=True)
        for label, person in enumerate(_folders(input_dir))
        for video in _folders(os.path.join(input_dir, person))
        for frame in _entries(os.path.join(input_dir, person, video))
    ]


def get_dataset_clfw(input_dir):
    """Items of `input_dir/<photo>`, all with label 0."""
    return [_item(photo, 0, input_dir) for photo in _entries(input_dir)]


# What the steps before write beside the person folders.
OWN_FILES = ("lst", "lst.journal", "lst.skipped", "names.tsv", "property")

# 2018: `webface` means person folders; `get_dataset_webface` is for who calls it by its name.
DATASETS = {
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


# ---------------------------------------------------------------------------------- parts


def _entries(folder):
    """Sorted names of what lies in a folder, without hidden files (.DS_Store)."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _folders(folder, warn_of_files=False):
    """Sorted names of the folders in a folder; files beside them are left out, with a warning."""
    names = [name for name in _entries(folder) if name not in OWN_FILES]
    folders = [name for name in names if os.path.isdir(os.path.join(folder, name))]
    strays = sorted(set(names) - set(folders))
    if warn_of_files and strays:
        log.warning(
            "%s: %d files beside the person folders are left out (the first is %s)",
            folder,
            len(strays),
            strays[0],
        )
    return folders


def _item(name, label, input_dir, whole_path_id=False):
    """A photo of which nothing but its label is known."""
    path = os.path.join(input_dir, name)
    return EasyDict(
        id=path if whole_path_id else name,
        classname=str(label),
        image_path=path,
        bbox=None,
        landmark=None,
    )


def _described_item(name, label, input_dir, whole_path_id=False):
    """A photo with what the json file beside it says; a damaged one counts as none, and warns."""
    item = _item(name, label, input_dir, whole_path_id)
    path = item.image_path + ".json"
    if not os.path.exists(path):
        return item
    try:
        with open(path, encoding="utf-8") as file:
            described = json.load(file)
        box, points = described.get("bounding_box"), described.get("landmarks") or {}
        if box:
            corners = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
            item.bbox = _described_points(corners)
        # 2018: the json numbers the person's left and right, the template the photo's.
        if all(key in points for key in "102"):
            landmark = [(points[key]["x"], points[key]["y"]) for key in "102"]
            item.landmark = _described_points(landmark)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: not a description of a face (%r); going on without it", path, error)
        item.bbox = item.landmark = None
    return item


def _described_points(numbers):
    """Coordinates as float32; ValueError where no photo has such."""
    points = np.array(numbers, dtype=np.float32)
    if not (np.abs(points) <= LARGEST_COORDINATE).all():  # NaN is refused too
        raise ValueError(f"coordinates {points.tolist()}")
    return points


def _clean_list(input_dir):
    """Path of the list beside the folder."""
    return input_dir.rstrip("/") + "_clean_list.txt"


def _list_lines(input_dir):
    """Yields (number, stripped line) for the lines of the list that are not blank."""
    path = _clean_list(input_dir)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is missing: this kind of data set needs it")
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.strip()
