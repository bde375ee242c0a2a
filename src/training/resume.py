"""The full state of a run in one file, from which it goes on exactly where it was."""

import json
import os
import random

import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.output_files import whole_file

_NUMBERS = "numbers"
_LARGEST_SEED = 1 << 31


def state_path(prefix):
    """Where the state of a run with that `--prefix` is."""
    return f"{os.fspath(prefix)}-resume.state"


def write_state(path, arrays, numbers):
    """Writes a state, whole or not at all.

    Parameters
    ----------
    path : str
    arrays : dict of str to NDArray
    numbers : dict
        Anything that JSON can hold.
    """
    encoded = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
    arrays = {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
    with whole_file(path) as file:
        mx.nd.save(file.name, {**arrays, _NUMBERS: mx.nd.array(encoded, dtype=np.uint8)})


def read_state(path):
    """(arrays, numbers) that `write_state` was given.

    Raises
    ------
    InputError
        The file is none of these.
    """
    try:
        arrays = mx.nd.load(path)
        numbers = json.loads(arrays.pop(_NUMBERS).asnumpy().tobytes())
    except (mx.MXNetError, KeyError, TypeError, AttributeError, ValueError):
        raise InputError(
            f"{path} is not the state of a run: move it away, and go on from a checkpoint with "
            "--pretrained"
        ) from None
    return arrays, numbers


def seed_generators(seed, step=0):
    """Seeds Python's, NumPy's and MXNet's generators from the run's seed and a batch number."""
    derived = int(np.random.SeedSequence((seed, step)).generate_state(1)[0]) % _LARGEST_SEED
    random.seed(derived)
    np.random.seed(derived)
    mx.random.seed(derived)


def check_same_run(path, was, now):
    """InputError where a run would go on with other settings than it began with.

    Parameters
    ----------
    path : str
        Of the state, for the message.
    was, now : dict
        Settings by flag; a state of an older version may lack some.
    """
    others = [flag for flag in now if flag in was and was[flag] != now[flag]]
    if others:
        differences = "; ".join(f"{flag} was {was[flag]}, is {now[flag]}" for flag in others)
        raise InputError(
            f"{path} is of another run ({differences}): take another --prefix, start from a "
            "checkpoint with --pretrained instead of --resume, or delete that file to begin anew"
        )
