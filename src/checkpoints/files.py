"""Checkpoint files: `prefix-symbol.json` and `prefix-0001.params`, read and written."""

import logging
import os

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
    OSError
        The files could not be written completely, for example because the disk is full.
    """
    prefix = os.fspath(prefix)
    arrays = {f"arg:{name}": array for name, array in arg_params.items()}
    arrays.update({f"aux:{name}": array for name, array in aux_params.items()})
    path = params_path(prefix, epoch)
    with whole_file(path) as params:
        _write_arrays(
            params.name, {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
        )
        os.fsync(params.fileno())  # otherwise a power failure could leave an empty file
        _write_symbol(symbol_path(prefix), symbol.tojson())
    return path


def _write_arrays(path: str, arrays: Parameters) -> None:
    try:
        mx.nd.save(path, arrays)
        # MXNet does not notice if the last few kB did not fit on the disk.
        complete = set(mx.nd.load(path)) == set(arrays)
    except mx.MXNetError:
        complete = False
    if not complete:
        raise OSError(f"{path} cannot be written completely: is the disk full?")


def _write_symbol(path: str, text: str) -> None:
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == text.encode():
                return
    with whole_file(path, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
