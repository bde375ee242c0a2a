"""Checkpoints bound for inference: a module whose only output is the embedding."""

import logging
from collections.abc import Sequence

from src.checkpoints.parameters import compare, describe_size
from src.common.errors import InputError, listed
from src.common.mxnet_backend import Parameters, mx
from src.graphs.bound import BoundGraph

log = logging.getLogger(__name__)

EMBEDDING_OUTPUT = "fc1_output"


def cut_at_embedding(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The part of a training graph up to the embedding, `fc1_output`.

    Raises
    ------
    InputError
        The graph has no such output; the message lists its last outputs.
    """
    internals = symbol.get_internals()
    outputs = internals.list_outputs()
    if EMBEDDING_OUTPUT in outputs:
        return internals[EMBEDDING_OUTPUT]
    candidates = [name for name in outputs if name.endswith("_output")]
    raise InputError(
        f"the model's graph has no output {EMBEDDING_OUTPUT}, from which the embedding is "
        f"taken; its last outputs are {', '.join(candidates[-8:]) or 'unnamed'}"
    )


def check_parameters(
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    data_shape: tuple[int, ...],
) -> None:
    """InputError unless there is an array of the right shape for everything that `symbol` needs.

    Arrays that it does not need, such as the classifier's, are logged.

    Parameters
    ----------
    symbol
        Its only input is `data`.
    data_shape
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
            + describe_size(symbol, arg_params, aux_params, {"data": data_shape})
        )
    if found.surplus:
        log.info("the embedding does not use %s", listed(found.surplus))


def bind_embedding(
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    contexts: mx.Context | Sequence[mx.Context],
    batch_size: int,
    image_size: Sequence[int],
) -> mx.mod.Module:
    """A Module for inference, with its parameters set, whose only output is the embedding.

    Parameters
    ----------
    symbol
        The complete training graph, or one that already ends at the embedding.
    arg_params, aux_params
        May contain more than needed.
    contexts
        The batch is divided among them.
    image_size
        Height and width.

    Returns
    -------
    module
        For `forward(mx.io.DataBatch(data=[images]), is_train=False)` and `get_outputs()`.
    """
    contexts = list(contexts) if isinstance(contexts, list | tuple) else [contexts]
    if batch_size < len(contexts):
        raise InputError(f"a batch of {batch_size} cannot be divided among {len(contexts)} devices")
    data_shape = (batch_size, 3, *image_size)
    symbol = cut_at_embedding(symbol)
    check_parameters(symbol, arg_params, aux_params, data_shape)
    on_cpu = all(context.device_type == "cpu" for context in contexts)
    graph = BoundGraph(symbol, on_cpu, for_training=False)
    module = mx.mod.Module(graph.symbol, context=contexts, label_names=None)
    module.bind(data_shapes=[("data", data_shape)], for_training=False)
    module.set_params(*graph.to_bound(arg_params, aux_params), allow_extra=True)
    return module
