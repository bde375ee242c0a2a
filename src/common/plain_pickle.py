"""Pickles that strangers wrote, read without running anything that they say.

A pickle can name any function and have it called. Here every name is looked up in a small table of
stand-ins that are defined here, and any other name is refused, so that nothing is built but bytes,
str, bool, numbers, list, tuple, dict and NumPy arrays. Not even NumPy's own constructors are
called: they trust the file with memory layout.
"""

import pickle

import numpy as np

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
"""What reading a pickle, or taking apart what it held, ends in where it is not as expected."""


def load_plain(file, encoding="bytes"):
    """What a pickle holds; each NumPy array in it is a `PlainArray`, see `without_stand_in`.

    Parameters
    ----------
    file : binary file
    encoding : {'bytes', 'latin1'}
        What Python 2's `str` becomes.

    Raises
    ------
    One of `PICKLE_ERRORS`
        It is no pickle, or names anything but plain data.
    """
    return _PlainUnpickler(file, encoding=encoding).load()


def without_stand_in(value):
    """The ndarray of a `PlainArray`; any other value as it is. What lies within is not changed."""
    return value.array if isinstance(value, PlainArray) else value


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


class PlainArray:
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
    result = PlainArray()
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
    ("numpy", "ndarray"): _StandIn(PlainArray),
    ("numpy", "dtype"): _StandIn(_PlainDtype),
    ("multiarray", "_reconstruct"): _StandIn(PlainArray),
    ("multiarray", "scalar"): _StandIn(_numpy_scalar),
    ("numeric", "_frombuffer"): _StandIn(_array_from_buffer),
    ("_codecs", "encode"): _StandIn(_encoded_latin1),
    ("collections", "OrderedDict"): _StandIn(dict),
    ("builtins", "bytes"): _StandIn(_empty_bytes),
    ("builtins", "bytearray"): _StandIn(_empty_bytes),
}


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
