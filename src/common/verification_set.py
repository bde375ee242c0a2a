"""The one reader and writer of verification sets (`lfw.bin`): encoded images and pairs.

A verification set is a pickle of `(images, issame)`. Pickles can run code, so that reading one
builds nothing but bytes, str, bool, numbers, list, tuple and NumPy arrays: every name in the file
is looked up in a small table of stand-ins that are defined here, and any other name is refused.
"""

import pickle
import struct

import numpy as np

from src.common.errors import InputError
from src.common.output_files import whole_file

_MODULES = {
    "numpy": "numpy",
    "numpy.core.multiarray": "multiarray",
    "numpy._core.multiarray": "multiarray",
    "numpy.core.numeric": "numeric",
    "numpy._core.numeric": "numeric",
    "_codecs": "_codecs",
    "__builtin__": "builtins",
    "builtins": "builtins",
}
_DTYPE_KINDS = "biufSUO"


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
            content = _PlainUnpickler(file, encoding="bytes").load()
            images, issame = _plain_list(content, "content", length=2)
            images = [_image_bytes(item) for item in _plain_list(images, "list of images")]
            issame = [bool(item) for item in _plain_list(issame, "list of pairs")]
        except _BROKEN as error:
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


class _PlainDtype:
    """Stands in for `numpy.dtype`, whose own `__setstate__` trusts the file with memory layout."""

    def __init__(self, name, *_copy_flags):
        self.name = _text(name)
        self.order = "="

    def __setstate__(self, state):
        order, _subarray, names, fields = state[1:5]
        if names is not None or fields is not None or _subarray is not None:
            raise pickle.UnpicklingError("an array with fields")
        self.order = _text(order).replace("|", "=")

    def dtype(self):
        dtype = np.dtype(self.name)
        if dtype.kind not in _DTYPE_KINDS:
            raise pickle.UnpicklingError(f"an array of type {dtype}")
        return dtype.newbyteorder(self.order)


class _PlainArray:
    """Stands in for `numpy.ndarray` while the pickle is read; `array` holds the result."""

    def __init__(self, *_arguments):
        self.array = np.zeros(0)

    def __setstate__(self, state):
        shape, dtype, column_major, content = state[-4:]
        dtype = dtype.dtype()
        if dtype.kind == "O":
            flat = np.empty(len(content), object)
            flat[:] = content
        else:
            content = content.encode("latin1") if isinstance(content, str) else content
            flat = np.frombuffer(content, dtype)
        self.array = flat.reshape(shape, order="F" if column_major else "C")


def _numpy_scalar(dtype, content):
    content = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(content, dtype.dtype(), count=1)[0]


def _array_from_buffer(content, dtype, shape, order):
    result = _PlainArray()
    result.__setstate__((shape, dtype, _text(order) == "F", bytes(content)))
    return result


def _encoded_latin1(text, encoding):
    # How Python 3 pickles bytes at protocol 2 and below.
    if _text(encoding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _empty_bytes(*content):
    return bytes(*content) if content and isinstance(content[0], list | bytes) else b""


class _StandIn:
    """A callable without attributes, so that no opcode of a pickle can change it."""

    __slots__ = ("_function",)

    def __init__(self, function):
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments):
        return self._function(*arguments)

    def __setattr__(self, name, value):
        raise pickle.UnpicklingError(f"the file sets {name!r} on a function")


_STAND_INS = {
    ("numpy", "ndarray"): _StandIn(_PlainArray),
    ("numpy", "dtype"): _StandIn(_PlainDtype),
    ("multiarray", "_reconstruct"): _StandIn(_PlainArray),
    ("multiarray", "scalar"): _StandIn(_numpy_scalar),
    ("numeric", "_frombuffer"): _StandIn(_array_from_buffer),
    ("_codecs", "encode"): _StandIn(_encoded_latin1),
    ("builtins", "bytes"): _StandIn(_empty_bytes),
    ("builtins", "bytearray"): _StandIn(_empty_bytes),
}

_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
)


class _PlainUnpickler(pickle.Unpickler):
    """Knows the names of `_STAND_INS` and no other; imports nothing."""

    def find_class(self, module, name):
        stand_in = _STAND_INS.get((_MODULES.get(module), name))
        if stand_in is None:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which could run code (get the file from its source)"
            )
        return stand_in


def _text(value):
    return value.decode("ascii") if isinstance(value, bytes) else value


def _plain_list(value, what, length=None):
    if isinstance(value, _PlainArray):
        value = value.array
    if not isinstance(value, list | tuple | np.ndarray):
        raise pickle.UnpicklingError(f"the {what} is of type {type(value).__name__}")
    if length is not None and len(value) != length:
        raise pickle.UnpicklingError(f"the {what} has {len(value)} parts, not {length}")
    return value


def _image_bytes(value):
    if isinstance(value, _PlainArray):
        value = value.array
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise pickle.UnpicklingError(f"an image is of type {type(value).__name__}, not bytes")
