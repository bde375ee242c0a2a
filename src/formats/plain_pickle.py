"""Reads pickles from unknown sources without running any code that they name.

A pickle can name any function and have it called. Here each name is looked up in a small table of
replacements defined in this module, and any other name raises an error. The result therefore
consists of bytes, str, bool, numbers, list, tuple, dict and NumPy arrays only. NumPy's own
constructors are not called either, because they use the file's memory layout unchecked.
"""

import io
import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from src.formats.pickle_scan import MOST_BYTES, MOST_KEYS, check_pickle

_MODULES = {
    "numpy": "numpy",
    "numpy.core.multiarray": "multiarray",
    "numpy._core.multiarray": "multiarray",
    "numpy.core.numeric": "numeric",
    "numpy._core.numeric": "numeric",
    "_codecs": "_codecs",
    "collections": "collections",
    "__builtin__": "builtins",
    "builtins": "builtins",
}
_DTYPE_KINDS = "biufSUO"
_LONGEST_DTYPE = 16  # characters of its name; a longer one is a list of fields


PICKLE_ERRORS = (
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
"""What is raised by reading a pickle, or by using its content, if it is not as expected."""


def load_plain(file: IO[bytes], encoding: str = "bytes") -> Any:
    """The content of a pickle; each NumPy array in it is a `PlainArray`, see `unwrap_array`.

    Its opcodes are checked first, see `pickle_scan`.

    Parameters
    ----------
    encoding
        'bytes' or 'latin1': how to decode Python 2's `str`.

    Raises
    ------
    One of `PICKLE_ERRORS`
        It is not a pickle, or names anything other than plain data.
    """
    content = file.read(MOST_BYTES + 1)
    try:
        check_pickle(content)
        return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()
    except RecursionError:
        raise pickle.UnpicklingError("it is nested too deeply") from None


def unwrap_array(value: Any) -> Any:
    """The ndarray of a `PlainArray`; any other value unchanged, including what it contains."""
    return value.array if isinstance(value, PlainArray) else value


class _PlainDtype:
    """Replaces `numpy.dtype`, whose `__setstate__` uses the file's memory layout unchecked."""

    def __init__(self, name: Any, *_copy_flags: Any) -> None:
        self.name = _text(name)
        self.order: Any = "="  # whatever the file contains

    def __setstate__(self, state: Any) -> None:
        order, _subarray, names, fields = state[1:5]
        if names is not None or fields is not None or _subarray is not None:
            raise pickle.UnpicklingError("an array with fields")
        self.order = _text(order).replace("|", "=")

    def dtype(self) -> np.dtype:
        """The dtype; UnpicklingError for kinds that are not plain data."""
        if not isinstance(self.name, str) or len(self.name) > _LONGEST_DTYPE:
            raise pickle.UnpicklingError("an array of a type without a short name")
        dtype = np.dtype(self.name)
        if dtype.kind not in _DTYPE_KINDS:
            raise pickle.UnpicklingError(f"an array of type {dtype}")
        return dtype.newbyteorder(self.order)


class PlainArray:
    """Replaces `numpy.ndarray` while the pickle is read; `array` is the result."""

    def __init__(self, *_arguments: Any) -> None:
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, column_major, content = state[-4:]
        dtype = dtype.dtype()
        if dtype.kind == "O":
            if not isinstance(content, list):
                raise pickle.UnpicklingError("an array of objects that are not in a list")
            flat = np.empty(len(content), object)
            flat[:] = content
        else:
            content = content.encode("latin1") if isinstance(content, str) else content
            flat = np.frombuffer(content, dtype)
        self.array = flat.reshape(shape, order="F" if column_major else "C")


def _numpy_scalar(dtype: Any, content: Any) -> Any:
    content = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(content, dtype.dtype(), count=1)[0]


def _array_from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> PlainArray:
    result = PlainArray()
    result.__setstate__((shape, dtype, _text(order) == "F", bytes(content)))
    return result


def _encoded_latin1(text: Any, encoding: Any) -> bytes:
    # How Python 3 pickles bytes at protocol 2 and below.
    if _text(encoding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("text that is not encoded as latin1")
    return text.encode("latin1")


def _bytes_or_empty(*content: Any) -> bytes:
    """As `bytes`, but not of a number, which would allocate as much memory as the file asks for."""
    return bytes(*content) if content and isinstance(content[0], list | bytes) else b""


def _ordered_dict(*content: Any) -> dict[Any, Any]:
    if content and (not isinstance(content[0], list) or len(content[0]) > MOST_KEYS):
        raise pickle.UnpicklingError(f"a dict of something else than at most {MOST_KEYS} pairs")
    return dict(*content)


class _Replacement:
    """A callable without attributes, so that no opcode of a pickle can change it."""

    __slots__ = ("_function",)

    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"the file sets {name!r} on a function")


_REPLACEMENTS = {
    ("numpy", "ndarray"): _Replacement(PlainArray),
    ("numpy", "dtype"): _Replacement(_PlainDtype),
    ("multiarray", "_reconstruct"): _Replacement(PlainArray),
    ("multiarray", "scalar"): _Replacement(_numpy_scalar),
    ("numeric", "_frombuffer"): _Replacement(_array_from_buffer),
    ("_codecs", "encode"): _Replacement(_encoded_latin1),
    ("collections", "OrderedDict"): _Replacement(_ordered_dict),
    ("builtins", "bytes"): _Replacement(_bytes_or_empty),
    ("builtins", "bytearray"): _Replacement(_bytes_or_empty),
}


class _PlainUnpickler(pickle.Unpickler):
    """Knows the names in `_REPLACEMENTS` and no other; imports nothing."""

    def find_class(self, module: str, name: str) -> _Replacement:
        replacement = _REPLACEMENTS.get((_MODULES.get(module, ""), name))
        if replacement is None:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which could run code; get the file from its original "
                "source"
            )
        return replacement


def _text(value: Any) -> Any:
    """ASCII bytes as str; any other value unchanged."""
    return value.decode("ascii") if isinstance(value, bytes) else value
