"""Checkpoints: read, written whole, cut at the embedding and bound.

How they are named says `checkpoint_names`.
"""

import logging
import os

from src.common.checkpoint_names import params_path, parse_model, symbol_path
from src.common.errors import InputError, listed
from src.common.mxnet_backend import mx
from src.common.output_files import whole_file
from src.common.parameters import CLASSIFIER_PARAMETERS, compare, sort_arrays
from src.common.saved_graphs import explain, read_graph
from src.symbols.channel_groups import group_channels
from src.symbols.cpu_graph import extra_auxiliary, rewrite_prelu

log = logging.getLogger(__name__)

EMBEDDING_OUTPUT = "fc1_output"


def load(prefix, epoch):
    """(symbol, arg_params, aux_params) of a checkpoint, the arrays on the CPU.

    Graphs of old MXNet versions are read as `saved_graphs` says, names of arrays as
    `parameters.sort_arrays` says.

    Raises
    ------
    InputError
        A file is missing (what the folder holds instead is named), damaged, or holds something
        other than a checkpoint's arrays.
    """
    prefix = os.fspath(prefix)
    parse_model(f"{prefix},{epoch}")
    symbol = read_graph(symbol_path(prefix))
    path = params_path(prefix, epoch)
    try:
        arrays = mx.nd.load(path)
    except mx.MXNetError as error:
        raise InputError(f"{path} is damaged or no MXNet file: {explain(error)}") from None
    return symbol, *sort_arrays(arrays if isinstance(arrays, dict) else {}, symbol, path)


def save(prefix, epoch, symbol, arg_params, aux_params):
    """Writes a checkpoint that `mx.model.load_checkpoint` reads; returns the path of its numbers.

    Each file appears whole or not at all: a run that is killed or fails while it saves leaves the
    checkpoints before it as they are. The graph takes its name when the numbers are written, and
    the numbers take theirs last, so that no numbers are without their graph. A graph that is
    there already is left alone.

    Raises
    ------
    OSError
        What was written is not whole, as on a full disk.
    """
    prefix = os.fspath(prefix)
    arrays = {f"arg:{name}": array for name, array in arg_params.items()}
    arrays.update({f"aux:{name}": array for name, array in aux_params.items()})
    path = params_path(prefix, epoch)
    with whole_file(path) as numbers:
        _write_arrays(
            numbers.name, {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
        )
        os.fsync(numbers.fileno())  # else a power failure may leave an empty file of that name
        _write_graph(symbol_path(prefix), symbol.tojson())
    return path


def _write_arrays(path, arrays):
    try:
        mx.nd.save(path, arrays)
        # MXNet does not notice that its last few kB did not fit on the disk.
        whole = set(mx.nd.load(path)) == set(arrays)
    except mx.MXNetError:
        whole = False
    if not whole:
        raise OSError(f"{path} cannot be written whole: is the disk full?")


def _write_graph(path, text):
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == text.encode():
                return
    with whole_file(path, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def cut_at_embedding(symbol):
    """The part of a training graph that ends in the embedding, `fc1_output`.

    Raises
    ------
    InputError
        The graph has no such output; the message names the ones near its end.
    """
    internals = symbol.get_internals()
    outputs = internals.list_outputs()
    if EMBEDDING_OUTPUT in outputs:
        return internals[EMBEDDING_OUTPUT]
    candidates = [name for name in outputs if name.endswith("_output")]
    raise InputError(
        f"the model's graph has no output {EMBEDDING_OUTPUT}, which is where the embedding is "
        f"taken; its last outputs are {', '.join(candidates[-8:]) or 'without a name'}"
    )


def drop_other_class_count(arg_params, num_classes):
    """The parameters without a classifier (fc7) that was trained for another number of classes.

    Parameters
    ----------
    arg_params : dict of str to NDArray
        As loaded; it is left as it is.
    num_classes : int
        Of the data set to be trained on.

    Returns
    -------
    dict
        Where fc7 is dropped, a warning says so: training draws it anew.
    """
    dropped = {
        name: arg_params[name].shape
        for name in CLASSIFIER_PARAMETERS
        if name in arg_params and arg_params[name].shape[0] != num_classes
    }
    if dropped:
        log.warning(
            "the checkpoint was trained on %d classes, this data set has %d: its %s is left out "
            "and drawn anew, so that training accuracy starts from 0 again (the embedding is kept)",
            next(iter(dropped.values()))[0],
            num_classes,
            " and ".join(dropped),
        )
    return {name: array for name, array in arg_params.items() if name not in dropped}


def check_parameters(symbol, arg_params, aux_params, data_shape):
    """Raises InputError unless there is an array of the right shape for all that `symbol` needs.

    Arrays that it does not need, such as the classifier's, are named in the log.

    Parameters
    ----------
    symbol : Symbol
        Its only input is `data`.
    arg_params, aux_params : dict of str to NDArray
    data_shape : tuple
        (N, 3, H, W)
    """
    found = compare(symbol, arg_params, aux_params, {"data": data_shape})
    if found.missing:
        raise InputError(
            f"the checkpoint lacks {len(found.missing)} of the {found.needed} arrays that its "
            f"graph needs: {listed(found.missing)} (do symbol and params belong together?)"
        )
    if found.wrong:
        raise InputError(
            f"the checkpoint does not fit images of shape {data_shape[1:]}: {listed(found.wrong)}"
        )
    if found.surplus:
        log.info("the embedding does not use %s", listed(found.surplus))


def bind_embedding(symbol, arg_params, aux_params, contexts, batch_size, image_size):
    """A Module, bound for inference and with its numbers set, whose only output is the embedding.

    Parameters
    ----------
    symbol : Symbol
        The whole training graph, or already cut.
    arg_params, aux_params : dict of str to NDArray
        May hold more than needed.
    contexts : Context or list of Context
        The batch is divided among them.
    batch_size : int
    image_size : (int, int)
        Height and width.

    Returns
    -------
    mx.mod.Module
        For `forward(mx.io.DataBatch(data=[images]), is_train=False)` and `get_outputs()`.
    """
    contexts = list(contexts) if isinstance(contexts, list | tuple) else [contexts]
    if batch_size < len(contexts):
        raise InputError(f"a batch of {batch_size} cannot be divided among {len(contexts)} devices")
    data_shape = (batch_size, 3, *image_size)
    symbol = cut_at_embedding(symbol)
    check_parameters(symbol, arg_params, aux_params, data_shape)
    symbol = group_channels(symbol)
    if all(context.device_type == "cpu" for context in contexts):
        symbol = rewrite_prelu(symbol, for_training=False)
        aux_params = {**aux_params, **extra_auxiliary(symbol, arg_params)}
    module = mx.mod.Module(symbol, context=contexts, label_names=None)
    module.bind(data_shapes=[("data", data_shape)], for_training=False)
    module.set_params(arg_params, aux_params, allow_extra=True)
    return module
