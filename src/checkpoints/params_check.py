"""Checks an MXNet array file (`.params`, the state of a run) before MXNet reads it.

MXNet believes the counts, shapes and lengths in the file, and allocates memory for them: 24 bytes
are enough for 1.5 GB. The layout is that of `NDArray::Save` (src/ndarray/ndarray.cc).
"""

import os
import struct
from typing import IO

from src.common.errors import InputError

LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE = 0
# Bytes per element, by MXNet's number of the type: float32, float64, float16, uint8, int32, int8,
# int64, bool.
_ELEMENT_BYTES = (4, 8, 2, 1, 4, 1, 8, 1)
# A checkpoint of the largest network here has 1,900 arrays, of at most 4 dimensions.
MOST_ARRAYS, MOST_DIMENSIONS = 1 << 16, 8
LONGEST_NAME = 1 << 12


class _Reader:
    """Reads numbers from a file; InputError where it ends too early."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def numbers(self, form: str) -> tuple[int, ...]:
        """Little-endian integers in the form of `struct`."""
        form = f"<{form}"
        return struct.unpack(form, self.content(struct.calcsize(form)))

    def content(self, length: int) -> bytes:
        """The next bytes."""
        self._require(length)
        return self._file.read(length)

    def skip(self, length: int) -> None:
        """Skips bytes."""
        self._require(length)
        self._file.seek(length, os.SEEK_CUR)

    def _require(self, length: int) -> None:
        left = self.size - self._file.tell()
        if length > left:
            raise InputError(f"it needs {length} bytes at byte {self._file.tell()}, has {left}")


def check_array_file(path: str | os.PathLike[str]) -> None:
    """InputError, naming the file, unless MXNet can read it with memory for its size only."""
    with open(path, "rb") as file:
        try:
            _check(_Reader(file))
        except InputError as error:
            raise InputError(f"{path} is damaged or not an MXNet file: {error}") from None


def _check(reader: _Reader) -> None:
    magic, _, count = reader.numbers("QQQ")
    if magic != LIST_MAGIC:
        raise InputError("it does not start with MXNet's magic number")
    if count > MOST_ARRAYS:
        raise InputError(f"its header gives {count} arrays; at most {MOST_ARRAYS} are read")
    for number in range(count):
        _check_array(reader, number)
    (named,) = reader.numbers("Q")
    if named not in (0, count):
        raise InputError(f"it has {count} arrays and {named} names")
    names = set()
    for _ in range(named):
        (length,) = reader.numbers("Q")
        if length > LONGEST_NAME:
            raise InputError(f"a name of {length} bytes; at most {LONGEST_NAME} are read")
        try:
            names.add(reader.content(length).decode())
        except UnicodeDecodeError:
            raise InputError("the name of an array is not UTF-8") from None
    if len(names) != named:
        raise InputError("two arrays have the same name")


def _check_array(reader: _Reader, number: int) -> None:
    """Skips an array after checking its shape and type."""
    (version,) = reader.numbers("I")
    if version in (_V2, _V3):
        (storage,) = reader.numbers("i")
        if storage != _DENSE:
            raise InputError(f"array {number} is sparse; save it as a dense array")
    # Before version 1 the number of dimensions is in the place of the magic number.
    dimensions = reader.numbers("i")[0] if version in (_V1, _V2, _V3) else version
    if dimensions == -1 or (dimensions == 0 and version != _V3):
        raise InputError(f"array {number} has no shape, so it is empty")
    if not 0 <= dimensions <= MOST_DIMENSIONS:
        raise InputError(f"array {number} has {dimensions} dimensions")
    shape = reader.numbers(f"{dimensions}{'q' if version in (_V1, _V2, _V3) else 'I'}")
    _, _, element = reader.numbers("iii")  # the first two are the device
    if not 0 <= element < len(_ELEMENT_BYTES):
        raise InputError(f"array {number} has elements of the unknown type {element}")
    length = _ELEMENT_BYTES[element]
    for side in shape:
        if side < 0:
            raise InputError(f"array {number} has the shape {shape}")
        length *= side
    reader.skip(length)
