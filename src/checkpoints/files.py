"""Checkpoint files: `prefix-symbol.json` and `prefix-0001.params`, read and written."""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator

import numpy as np

from src.checkpoints.names import params_path, parse_model, symbol_path
from src.checkpoints.parameters import CLASSIFIER_PARAMETERS, sort_arrays
from src.checkpoints.params_check import check_array_file
from src.checkpoints.saved_graphs import read_graph
from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx
from src.common.output_files import whole_file
from src.graphs.shapes import explain

log = logging.getLogger(__name__)

Checkpoint = tuple[mx.sym.Symbol, Parameters, Parameters]


def load_checkpoint(prefix: str | os.PathLike[str], epoch: int) -> Checkpoint:
    """(symbol, arg_params, aux_params) of a checkpoint, the arrays on the CPU.

    Reads graphs of old MXNet versions (see `saved_graphs`) and array names of other programs (see
    `parameters.sort_arrays`).

    Raises
    ------
    InputError
        A file is missing (the message lists what the folder contains), damaged, or does not contain
        the arrays of a checkpoint.
    """
    prefix = os.fspath(prefix)
    parse_model(f"{prefix},{epoch}")
    symbol = read_graph(symbol_path(prefix))
    path = params_path(prefix, epoch)
    check_array_file(path)
    try:
        arrays = mx.nd.load(path)
    except mx.MXNetError as error:
        raise InputError(f"{path} is damaged or not an MXNet file: {explain(error)}") from None
    return symbol, *sort_arrays(arrays if isinstance(arrays, dict) else {}, symbol, path)


def save_checkpoint(
    prefix: str | os.PathLike[str],
    epoch: int,
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
) -> str:
    """Writes a checkpoint that `mx.model.load_checkpoint` reads; returns the path of its params.

    Each file appears complete or not at all, so a run that is killed or fails while saving keeps
    its earlier checkpoints. The params file gets its name last, after the symbol file: there are
    never params without a symbol. A symbol file with the same content is left as it is.

    Raises
    ------
    DiskFull
        Older files are unchanged.
    """
    prefix = os.fspath(prefix)
    arrays = {f"arg:{name}": array for name, array in arg_params.items()}
    arrays.update({f"aux:{name}": array for name, array in aux_params.items()})
    path = params_path(prefix, epoch)
    with _array_file(path, arrays):
        _write_symbol(symbol_path(prefix), symbol.tojson())
    return path


def write_arrays(path: str, arrays: Parameters) -> None:
    """Writes an MXNet array file that appears complete or not at all.

    Raises
    ------
    DiskFull
        The old file, if there is one, is unchanged.
    """
    with _array_file(path, arrays):
        pass


@contextlib.contextmanager
def _array_file(path: str, arrays: Parameters) -> Iterator[None]:
    """Writes an array file, which gets its name after the block."""
    arrays = {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
    size = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    with whole_file(path, size=size) as file:
        try:
            mx.nd.save(file.name, arrays)
            check_array_file(file.name)  # MXNet does not notice if the last few kB did not fit
        except (mx.MXNetError, InputError):
            raise OSError(errno.ENOSPC, "the file is incomplete") from None
        yield


def _write_symbol(path: str, text: str) -> None:
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == text.encode():
                return
    with whole_file(path, "w") as file:
        file.write(text)


def drop_other_class_count(arg_params: Parameters, num_classes: int) -> Parameters:
    """The parameters without a classifier (fc7) of another number of classes.

    Logs a warning if it is dropped: training then initialises a new one.

    Parameters
    ----------
    arg_params
        As loaded; not changed.
    num_classes
        Of the training set.
    """
    dropped = {
        name: arg_params[name].shape
        for name in CLASSIFIER_PARAMETERS
        if name in arg_params and arg_params[name].shape[0] != num_classes
    }
    if dropped:
        log.warning(
            "the checkpoint was trained on %d classes, this data set has %d: its %s is dropped "
            "and initialised again, so training accuracy restarts from 0 (the embedding is kept)",
            next(iter(dropped.values()))[0],
            num_classes,
            " and ".join(dropped),
        )
    return {name: array for name, array in arg_params.items() if name not in dropped}
