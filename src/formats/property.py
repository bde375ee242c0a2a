"""The `property` file of a data set: one line `classes,height,width`."""

import os
from collections.abc import Sequence

from easydict import EasyDict

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.common.text_files import read_lines
from src.formats.recordio import LARGEST_EXACT


def load_property(data_dir: str) -> EasyDict:
    """The contents of `data_dir/property`: `num_classes` and `image_size` [height, width].

    Raises
    ------
    FileNotFoundError, InputError
        The folder or the file is missing, or the file is not `classes,height,width`.
    """
    path = os.path.join(data_dir, "property")
    if data_dir and not os.path.isdir(data_dir):
        raise FileNotFoundError(
            f"{data_dir}: there is no such folder (--data-dir is the folder with property and "
            "the records)"
        )
    try:
        lines = [line.strip() for _, line in read_lines(path, "replace") if line.strip()]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: one line classes,height,width, e.g. 85742,112,112"
        ) from None
    fields = [field.strip() for field in lines[0].split(",")] if len(lines) == 1 else []
    if len(fields) != 3 or not all(map(_is_count, fields)):
        found = lines[0] if len(lines) == 1 else f"{len(lines)} lines"
        raise InputError(
            f"{path}: expected one line classes,height,width, e.g. 85742,112,112 (at most "
            f"{LARGEST_EXACT} classes); got {found!r}"
        )
    classes, height, width = map(int, fields)
    return EasyDict(num_classes=classes, image_size=[height, width])


def _is_count(field: str) -> bool:
    """Whether it is a number from 1 to the largest label; an image side cannot be larger either."""
    return field.isdecimal() and len(field) <= 8 and 0 < int(field) <= LARGEST_EXACT


def write_property(path: str, classes: int, image_size: Sequence[int]) -> None:
    """Writes the file `path` (`<data_dir>/property`); `image_size` is (height, width)."""
    with whole_file(path, "w") as file:
        # 2018: no newline at the end; the bytes are those of old data sets.
        file.write(f"{classes:d},{image_size[0]:d},{image_size[1]:d}")
