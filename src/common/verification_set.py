"""The one reader and writer of verification sets (`lfw.bin`): encoded images and pairs.

A verification set is a pickle of `(images, issame)`, written by anybody: only plain data is read.
"""

import pickle
import struct

import numpy as np

from src.common.errors import InputError
from src.common.output_files import whole_file
from src.common.plain_pickle import PICKLE_ERRORS, load_plain, without_stand_in


def read_bin(path):
    """Images and pairs of a verification set.

    Parameters
    ----------
    path : str or PathLike
        Written by Python 2 or 3.

    Returns
    -------
    images : list of bytes
        2P encoded pictures; pair i is images 2i and 2i+1.
    issame : list of bool
        P values.

    Raises
    ------
    InputError
        The file is no pickle, names anything but plain data, or does not hold pairs.
    """
    with open(path, "rb") as file:
        try:
            images, issame = _plain_list(load_plain(file), "content", length=2)
            images = [_image_bytes(item) for item in _plain_list(images, "list of images")]
            issame = [bool(item) for item in _plain_list(issame, "list of pairs")]
        except PICKLE_ERRORS as error:
            raise InputError(
                f"{path} is not a verification set, a pickle of (encoded images, issame) with only "
                f"plain data: {str(error) or type(error).__name__}"
            ) from None
    if not issame or len(images) != 2 * len(issame):
        raise InputError(
            f"{path}: {len(issame)} pairs need {2 * len(issame)} images (and at least one pair); "
            f"the file holds {len(images)}"
        )
    return images, issame


def write_bin(path, images, issame):
    """Writes a verification set that Python 2 and 3 read, in the opcodes of Python 2's own pickles.

    Python 3's `pickle` would write bytes at protocol 2 as text that has to be encoded again, half
    as large again and slow.

    Parameters
    ----------
    path : str or PathLike
    images : iterable of bytes
        2P encoded pictures; pair i is images 2i and 2i+1.
    issame : sequence of bool
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


def _plain_list(value, what, length=None):
    value = without_stand_in(value)
    if not isinstance(value, list | tuple | np.ndarray):
        raise pickle.UnpicklingError(f"the {what} is of type {type(value).__name__}")
    if length is not None and len(value) != length:
        raise pickle.UnpicklingError(f"the {what} has {len(value)} parts, not {length}")
    return value


def _image_bytes(value):
    value = without_stand_in(value)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise pickle.UnpicklingError(f"an image is of type {type(value).__name__}, not bytes")
