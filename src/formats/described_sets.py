"""Two data sets whose photos are described by files of their own: FaceScrub and MS-Celeb-1M."""

import logging
import os
from collections.abc import Iterator

import numpy as np

from src.common.errors import InputError, listed, printable
from src.common.json_text import parse_json
from src.common.log import progress_bar
from src.common.text_files import read_lines
from src.formats.photo_set import Known, PhotoSet, PhotosInFile
from src.formats.photo_sets import facescrub_photos

log = logging.getLogger(__name__)

FACESCRUB_LABELS = ("facescrub_actors.txt", "facescrub_actresses.txt")
FACESCRUB_FEATURES = "facescrub_uncropped_features_list.json"

FaceKey = tuple[str, int]
"""A photo of FaceScrub: person, number."""


def described_facescrub(input_dir: str) -> PhotoSet:
    """Items of `input_dir/downloaded/<person>/<person>_<number>.<extension>`, with their boxes.

    Boxes are in `facescrub_actors.txt` and `facescrub_actresses.txt`. As in 2018, photos that
    `facescrub_uncropped_features_list.json` does not name are left out.

    Raises
    ------
    FileNotFoundError, InputError
        One of these files is missing or damaged.
    """
    boxes = {
        key: box
        for name in FACESCRUB_LABELS
        for key, box in _facescrub_boxes(os.path.join(input_dir, name))
    }
    used = set(_facescrub_features(os.path.join(input_dir, FACESCRUB_FEATURES)))
    photos = os.path.join(input_dir, "downloaded")
    if not os.path.isdir(photos):
        raise FileNotFoundError(f"{photos}: there is no such folder of photos")
    chosen, unknown, boxless = [], [], []
    for item in facescrub_photos(photos):
        key = _facescrub_key(item.image_path)
        if key not in used:
            unknown.append(item.id)
        elif key not in boxes:
            boxless.append(item.id)
        else:
            chosen.append((item.id, item.classname))
    for names, reason in (
        (unknown, f"are not in {FACESCRUB_FEATURES}"),
        (boxless, f"have no box in {' and '.join(FACESCRUB_LABELS)}"),
    ):
        if names:
            shown = listed(map(printable, names), 3)
            log.warning("%d photos %s and are left out: %s", len(names), reason, shown)

    def describe(path: str) -> Known:
        key = _facescrub_key(path)
        assert key is not None  # these were left out
        return boxes[key], None

    return PhotoSet(photos, chosen, describe)


def _facescrub_key(path: str) -> FaceKey | None:
    """The person, who is the folder, and the number at the end of the name; None without one."""
    folder, name = os.path.split(path)
    number = os.path.splitext(name)[0].rpartition("_")[2]
    return (os.path.basename(folder), int(number)) if _is_number(number) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _facescrub_boxes(path: str) -> Iterator[tuple[FaceKey, np.ndarray]]:
    """Yields (photo, box (4,)) for each line but the first: name, _, number, _, x1,y1,x2,y2, …"""
    for number, line in read_lines(path, "replace"):
        if number == 1 or not line.strip():
            continue
        fields = line.split("\t")
        try:
            name, image, corners = fields[0], fields[2], fields[4].split(",")
            box = np.array([int(corner) for corner in corners], np.float32)
            if box.shape != (4,):
                raise ValueError(f"box {fields[4]!r}")
            yield (name, int(image)), box
        except (IndexError, ValueError, OverflowError) as error:
            raise InputError(
                f"{path}, line {number}: expected name, image_id, face_id, url and "
                f"x1,y1,x2,y2 between tabs ({error})"
            ) from None


def _facescrub_features(path: str) -> Iterator[FaceKey]:
    """Yields the photos that a features list names."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        names = [os.path.basename(name) for name in parse_json(content)["path"]]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected a JSON object with a list 'path' of photo names ({error!r})"
        ) from None
    for name in names:
        person, _, number = os.path.splitext(name)[0].partition("_")
        if _is_number(number):
            yield person, int(number)


def celeb_tsv(path: str) -> PhotoSet:
    """Items of a TSV file of MS-Celeb-1M: person, number, …, photo in base64, on each line.

    Only photos that `<path>_clean_list.txt` names are used; its lines are `./m.<person>/<number>.…`
    and labels follow the order in which persons first appear there.

    Raises
    ------
    FileNotFoundError, InputError
        One of the two files is missing, or a line of the TSV file has no person and number.
    """
    labels, used = _clean_list(f"{path}_clean_list.txt")
    return PhotosInFile(path, _celeb_photos(path, labels, used))


def _celeb_photos(
    path: str, labels: dict[str, int], used: set[FaceKey]
) -> Iterator[tuple[str, int, int, int]]:
    """Yields (name, label, first byte, number of bytes) of each photo that is used."""
    offset = 0
    with open(path, "rb") as file, progress_bar("reading", "MB") as bar:
        for number, line in enumerate(file, 1):
            bar.update(len(line) / 1e6)
            start, offset = offset, offset + len(line)
            if not line.strip():
                continue
            fields = line.split(None, 2)
            try:
                person, image = fields[0].decode("ascii"), int(fields[1])
                photo = fields[2].split()[-1]
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}, line {number}: expected person, number, … and a photo in base64"
                ) from None
            if (person, image) in used:
                yield (
                    f"{person}/{image}.jpg",
                    labels[person],
                    start + line.rindex(photo),
                    len(photo),
                )


def _clean_list(path: str) -> tuple[dict[str, int], set[FaceKey]]:
    """(label of each person, photos) of a clean list; lines of another form are ignored."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is missing: it names the photos to use")
    labels: dict[str, int] = {}
    used: set[FaceKey] = set()
    for _, line in read_lines(path, "replace"):
        person, _, photo = line.strip().removeprefix("./").partition("/")
        number = photo.split(".")[0]
        if person.startswith("m.") and _is_number(number):
            labels.setdefault(person, len(labels))
            used.add((person, int(number)))
    return labels, used
