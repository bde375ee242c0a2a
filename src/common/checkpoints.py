"""Checkpoints: named on the command line, read, written whole, cut at the embedding and bound.

A checkpoint is `prefix-symbol.json` (the graph) and `prefix-0001.params` (the numbers after save
1); on the command line it is `prefix,1`.
"""

import contextlib
import io
import logging
import os
import re

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.output_files import whole_file
from src.symbols.cpu_graph import extra_auxiliary, rewrite_prelu

log = logging.getLogger(__name__)

EMBEDDING_OUTPUT = "fc1_output"
CLASSIFIER_PARAMETERS = ("fc7_weight", "fc7_bias")
_EPOCHS = re.compile(r"\d+(\|\d+)*")
_PARAMS_FILE = re.compile(r"(?P<prefix>.+)-(?P<epoch>\d{4,})\.params")
_LISTED = 8  # names shown in a message before it says how many more there are


def split_model(text):
    """(prefix, list of epochs) of 'prefix,1|2'; the epochs are None where only a prefix is given.

    Raises
    ------
    InputError
        What follows the last comma is no epoch, and no checkpoint bears the whole text as prefix.
    """
    prefix, comma, epochs = text.rpartition(",")
    if comma and _EPOCHS.fullmatch(epochs.strip()):
        return prefix, [int(epoch) for epoch in epochs.split("|")]
    if not text or (comma and not find_epochs(text)):
        raise InputError(
            f"model {text!r}: expected prefix,epoch (as in ../model/softmax,50), prefix,1|2|3, "
            "or a prefix alone for every epoch"
        )
    return text, None


def parse_model(text):
    """(prefix, list of epochs) of a `--model` value, where each file is known to exist.

    Parameters
    ----------
    text : str
        'prefix,1', 'prefix,1|2|3', or 'prefix', which means all epochs found, ascending.

    Raises
    ------
    InputError
        No such checkpoint; the message names those which the folder holds.
    """
    prefix, wanted = split_model(text)
    found = find_epochs(prefix)
    epochs = found if wanted is None else wanted
    missing = sorted(set(epochs) - set(found))
    if missing or not epochs or not os.path.exists(symbol_path(prefix)):
        raise InputError(f"{_what_is_missing(prefix, missing, epochs)}; {_what_is_there(prefix)}")
    return prefix, epochs


def symbol_path(prefix):
    """Path of a checkpoint's graph."""
    return f"{prefix}-symbol.json"


def params_path(prefix, epoch):
    """Path of a checkpoint's numbers."""
    return f"{prefix}-{epoch:04d}.params"


def find_epochs(prefix):
    """Ascending list of the epochs for which `prefix-<epoch>.params` exists."""
    name = os.path.basename(prefix)
    return sorted(epoch for found, epoch in _checkpoints_in(_folder(prefix)) if found == name)


def load(prefix, epoch):
    """(symbol, arg_params, aux_params) of a checkpoint, the arrays on the CPU.

    Raises
    ------
    InputError
        A file is missing (what the folder holds instead is named), damaged, or holds something
        other than a checkpoint's arrays.
    """
    prefix = os.fspath(prefix)
    parse_model(f"{prefix},{epoch}")
    try:
        symbol = mx.sym.load(symbol_path(prefix))
    except (mx.MXNetError, UnicodeDecodeError) as error:
        raise InputError(f"{symbol_path(prefix)} is no MXNet graph: {_first_line(error)}") from None
    path = params_path(prefix, epoch)
    try:
        arrays = mx.nd.load(path)
    except mx.MXNetError as error:
        raise InputError(f"{path} is damaged or no MXNet file: {_first_line(error)}") from None
    parameters = {"arg": {}, "aux": {}}
    for key, array in arrays.items() if isinstance(arrays, dict) else ():
        kind, _, name = key.partition(":")
        if kind in parameters and name:
            parameters[kind][name] = array
    if not parameters["arg"]:
        raise InputError(
            f"{path} holds no arrays named arg:… or aux:…, as a Module's checkpoint does (a file "
            "of gluon's save_parameters has to be exported first, by HybridBlock.export)"
        )
    return symbol, parameters["arg"], parameters["aux"]


def save(prefix, epoch, symbol, arg_params, aux_params):
    """Writes a checkpoint that `mx.model.load_checkpoint` reads; returns the path of its numbers.

    Each file appears whole or not at all, so that a run that is killed while it saves leaves the
    checkpoints before it readable.
    """
    prefix = os.fspath(prefix)
    with whole_file(symbol_path(prefix), "w") as file:
        file.write(symbol.tojson())
    arrays = {f"arg:{name}": array for name, array in arg_params.items()}
    arrays.update({f"aux:{name}": array for name, array in aux_params.items()})
    path = params_path(prefix, epoch)
    with whole_file(path) as file:
        mx.nd.save(
            file.name, {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
        )
    return path


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
        f"taken; its last outputs are {', '.join(candidates[-_LISTED:]) or 'without a name'}"
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
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints all shapes on an error
            arg_shapes, _, aux_shapes = symbol.infer_shape(data=data_shape)
    except mx.MXNetError as error:
        raise InputError(
            f"the model does not fit images of shape {data_shape}: {_first_line(error)}"
        ) from None
    needed = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    needed.pop("data", None)
    needed.update(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    given = {name: array.shape for name, array in {**arg_params, **aux_params}.items()}
    missing = [name for name in needed if name not in given]
    if missing:
        raise InputError(
            f"the checkpoint lacks {len(missing)} of the {len(needed)} arrays that its graph "
            f"needs: {_listed(missing)} (do symbol and params belong together?)"
        )
    wrong = [
        f"{name} is {given[name]}, expected {shape}"
        for name, shape in needed.items()
        if given[name] != shape
    ]
    if wrong:
        raise InputError(
            f"the checkpoint does not fit images of shape {data_shape[1:]}: {_listed(wrong)}"
        )
    surplus = [name for name in given if name not in needed]
    if surplus:
        log.info("the embedding does not use %s", _listed(surplus))


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
    if all(context.device_type == "cpu" for context in contexts):
        symbol = rewrite_prelu(symbol, for_training=False)
        aux_params = {**aux_params, **extra_auxiliary(symbol, arg_params)}
    module = mx.mod.Module(symbol, context=contexts, label_names=None)
    module.bind(data_shapes=[("data", data_shape)], for_training=False)
    module.set_params(arg_params, aux_params, allow_extra=True)
    return module


def _folder(prefix):
    return os.path.dirname(prefix) or "."


def _checkpoints_in(folder):
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(folder)):
            match = _PARAMS_FILE.fullmatch(name)
            if match:
                yield match["prefix"], int(match["epoch"])


def _what_is_missing(prefix, missing, epochs):
    if not os.path.isdir(_folder(prefix)):
        return f"no folder {_folder(prefix)}"
    if missing:
        return f"no {', '.join(params_path(prefix, epoch) for epoch in missing[:_LISTED])}"
    if not epochs:
        return f"no checkpoint {prefix}-<epoch>.params"
    return f"no {symbol_path(prefix)}, the graph that belongs to {params_path(prefix, epochs[0])}"


def _what_is_there(prefix):
    if not os.path.isdir(_folder(prefix)):
        return "check the path"
    found = [f"{name},{epoch}" for name, epoch in _checkpoints_in(_folder(prefix))]
    return f"checkpoints in {_folder(prefix)}: {_listed(found) or 'none'}"


def _listed(names):
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _first_line(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
