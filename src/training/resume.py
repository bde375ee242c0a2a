"""The state of a run in one file, to resume it exactly."""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from src.checkpoints.files import write_arrays
from src.checkpoints.params_check import check_array_file
from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx

_NUMBERS = "numbers"
DATA_SET = "data_set"
# Settings that follow from the data set and the devices; all others are flags.
_FOUND = {
    "num_classes": "the number of classes",
    "batch_size": "the batch size over all devices",
    "ctx_num": "the number of devices",
}


class OtherRun(InputError):
    """A state of a run with other settings."""


def state_path(prefix: str | os.PathLike[str]) -> str:
    """Path of the state of a run with that `--prefix`."""
    return f"{os.fspath(prefix)}-resume.state"


def write_state(path: str, arrays: Parameters, numbers: Mapping[str, Any]) -> None:
    """Writes a state, complete or not at all.

    Parameters
    ----------
    numbers
        Anything that JSON can represent.
    """
    encoded = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
    write_arrays(path, {**arrays, _NUMBERS: mx.nd.array(encoded, dtype=np.uint8)})


def read_state(path: str) -> tuple[Parameters, dict[str, Any]]:
    """(arrays, numbers) as given to `write_state`.

    Raises
    ------
    InputError
        The file is not a state.
    """
    with as_state(path):
        check_array_file(path)
        arrays = mx.nd.load(path)
        numbers = json.loads(arrays.pop(_NUMBERS).asnumpy().tobytes())
        if not isinstance(numbers, dict):
            raise ValueError("its numbers are not a table")
    return arrays, numbers


@contextlib.contextmanager
def as_state(path: str) -> Iterator[None]:
    """Turns the errors of reading a file of another form into an InputError that names it."""
    try:
        yield
    except OtherRun:
        raise
    except (mx.MXNetError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise InputError(
            f"{path} is not the state of a run: move it away, and continue from a checkpoint with "
            "--pretrained"
        ) from None


def data_set_identity(data_dir: str) -> dict[str, str]:
    """A data set for the identity of a run: its folder, and a checksum of property and index.

    The index contains the size of each record, so other images give another checksum.
    """
    checksum = 0
    for name in ("property", "train.idx"):
        with open(os.path.join(data_dir, name), "rb") as file:
            while block := file.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
    return {"folder": os.path.abspath(data_dir), "checksum": f"{checksum:08x}"}


def check_same_run(path: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises OtherRun if a run would continue with settings other than those it started with.

    Parameters
    ----------
    path
        Path of the state, for the message.
    was, now
        Settings by name; a state of an older version may lack some.
    """
    others = [name for name in now if name in was and not _same(name, was[name], now[name])]
    if others:
        differences = "; ".join(_difference(name, was[name], now[name]) for name in others)
        raise OtherRun(
            f"{path} belongs to another run ({differences}): use another --prefix, start from a "
            "checkpoint with --pretrained instead of --resume, or use --start-over, which moves "
            "the files of that run aside"
        )


def _same(name: str, was: Any, now: Any) -> bool:
    if name == DATA_SET:  # its folder may have moved
        return bool(was["checksum"] == now["checksum"])
    return bool(was == now)


def _difference(name: str, was: Any, now: Any) -> str:
    if name == DATA_SET and was["folder"] == now["folder"]:
        return f"the data set in {now['folder']} has changed"
    if name == DATA_SET:
        return f"the data set was {was['folder']}, --data-dir {now['folder']} is another one"
    return f"{_FOUND.get(name) or '--' + name.replace('_', '-')} was {was}, is {now}"
