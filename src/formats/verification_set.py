"""Reads and writes verification sets (`lfw.bin`): encoded images and pairs.

A verification set is a pickle of `(images, issame)` that can come from anywhere, so only plain data
is read.
"""

import os
import pickle
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from src.common.errors import InputError, listed
from src.common.output_files import whole_file
from src.formats.plain_pickle import PICKLE_ERRORS, load_plain, unwrap_array


def read_bin(path: str | os.PathLike[str]) -> tuple[list[bytes], list[bool]]:
    """(images, issame) of a verification set that Python 2 or 3 wrote.

    Returns
    -------
    images
        2P encoded pictures; pair i is images 2i and 2i+1.
    issame
        P values.

    Raises
    ------
    InputError
        The file is not a pickle, names anything other than plain data, or does not contain pairs.
    """
    with open(path, "rb") as file:
        try:
            stored_images, stored_pairs = _plain_list(load_plain(file), "content", length=2)
            images = [_image_bytes(item) for item in _plain_list(stored_images, "list of images")]
            issame = _pair_labels(_plain_list(stored_pairs, "list of pairs"))
        except PICKLE_ERRORS as error:
            raise InputError(
                f"{path} is not a verification set (a pickle of encoded images and issame, plain "
                f"data only): {str(error) or type(error).__name__}"
            ) from None
    if not issame or len(images) != 2 * len(issame):
        raise InputError(
            f"{path}: {len(issame)} pairs need {2 * len(issame)} images (and at least one pair); "
            f"the file contains {len(images)}"
        )
    return images, issame


def write_bin(
    path: str | os.PathLike[str], images: Iterable[bytes], issame: Sequence[bool]
) -> None:
    """Writes a verification set that Python 2 and 3 read, with the opcodes that Python 2 would use.

    At protocol 2, Python 3's `pickle` writes bytes as text that has to be encoded when it is read,
    which is 50 % larger, and slow.

    Parameters
    ----------
    images
        2P encoded pictures; pair i is images 2i and 2i+1.
    issame
        P values.
    """
    count = 0
    with whole_file(path) as file:
        file.write(pickle.PROTO + b"\x02" + pickle.EMPTY_LIST + pickle.MARK)
        for image in images:
            file.write(pickle.BINSTRING + struct.pack("<i", len(image)) + image)
            count += 1
        if count != 2 * len(issame):
            raise ValueError(f"{len(issame)} pairs need {2 * len(issame)} images, got {count}")
        file.write(pickle.APPENDS + pickle.EMPTY_LIST + pickle.MARK)
        file.write(b"".join(pickle.NEWTRUE if same else pickle.NEWFALSE for same in issame))
        file.write(pickle.APPENDS + pickle.TUPLE2 + pickle.STOP)


def _plain_list(value: Any, what: str, length: int | None = None) -> Sequence[Any] | np.ndarray:
    value = unwrap_array(value)
    if not isinstance(value, list | tuple | np.ndarray):
        raise pickle.UnpicklingError(f"the {what} is of type {type(value).__name__}")
    if length is not None and len(value) != length:
        raise pickle.UnpicklingError(f"the {what} has {len(value)} parts, not {length}")
    return value


def _image_bytes(value: Any) -> bytes:
    value = unwrap_array(value)
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise pickle.UnpicklingError(
            f"an image is an array of pixels of shape {value.shape}, not an encoded picture; pack "
            "the pictures as JPEG or PNG with src.data.lfw2pack"
        )
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise pickle.UnpicklingError(f"an image is of type {type(value).__name__}, not bytes")


# Labels of pairs as programs write them; 'same' is the larger one.
_LABEL_KINDS: tuple[dict[Any, bool], ...] = ({0: False, 1: True}, {-1: False, 1: True})
_WORDS = {"0": 0, "1": 1, "-1": -1, "false": 0, "true": 1}


def _pair_labels(values: Iterable[Any]) -> list[bool]:
    """Whether each pair is of the same person, from 0 and 1, or -1 and 1, or such words.

    `bool` would read -1 and any text as 'same'.
    """
    labels = [_label_number(unwrap_array(value)) for value in values]
    kinds = [kind for kind in _LABEL_KINDS if kind.keys() >= set(labels)]
    if not kinds:
        found = listed(sorted(set(labels)), 4)
        raise pickle.UnpicklingError(f"the labels of its pairs are {found}, not 0 and 1")
    return [kinds[0][label] for label in labels]


def _label_number(value: Any) -> float:
    """A label as a number."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    text = value.decode("latin1") if isinstance(value, bytes) else value
    number = _WORDS.get(text.strip().lower()) if isinstance(text, str) else text
    if not isinstance(number, bool | int | float | np.bool_ | np.integer | np.floating):
        raise pickle.UnpicklingError(f"the label of a pair is {value!r}, not 0 or 1")
    return float(number)
