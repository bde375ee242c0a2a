"""MegaFace's feature files: one embedding of float32 with a header of four int32.

The header is (numbers, 1, 4, 5), little-endian: rows and columns of an OpenCV matrix, bytes from
one row to the next, and the type, float32. MegaFace's own tools read these files.
"""

import os
import struct

import numpy as np

from src.common.errors import InputError
from src.common.output_files import whole_file

_HEADER = struct.Struct("<4i")
_COLUMNS, _STRIDE, _FLOAT32 = 1, 4, 5


def write_feature(path: str | os.PathLike[str], feature: np.ndarray) -> None:
    """Writes an embedding (D,)."""
    with whole_file(path) as file:
        file.write(_HEADER.pack(len(feature), _COLUMNS, _STRIDE, _FLOAT32))
        file.write(np.asarray(feature, "<f4").tobytes())


def read_feature(path: str | os.PathLike[str]) -> np.ndarray:
    """The embedding (D,), float32.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it has another form.
    """
    with open(path, "rb") as file:
        content = file.read()
    header = _HEADER.unpack_from(content) if len(content) >= _HEADER.size else ()
    numbers = (len(content) - _HEADER.size) // 4
    if header != (numbers, _COLUMNS, _STRIDE, _FLOAT32) or len(content) % 4:
        raise InputError(
            f"{path}: not a feature file of MegaFace (a header of four integers, then float32): "
            "compute it again with src.megaface.gen_megaface"
        )
    return np.frombuffer(content, "<f4", offset=_HEADER.size).astype(np.float32)
