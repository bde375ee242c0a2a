"""Checkpoints without what only training needs."""

import os

from src.checkpoints.binding import cut_at_embedding
from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.checkpoints.names import params_path, parse_one_model, symbol_path
from src.common.errors import InputError, listed


def slim(model: str, prefix: str, epoch: int = 0) -> tuple[str, int, int]:
    """Writes a checkpoint that ends at the embedding; returns (path, its bytes, bytes before).

    Parameters
    ----------
    model
        'prefix,epoch', or a prefix for its newest checkpoint.
    prefix, epoch
        Of the new checkpoint.

    Raises
    ------
    InputError
        The new checkpoint exists, or the model is incomplete.
    """
    own, own_epoch = parse_one_model(model)
    for path in (symbol_path(prefix), params_path(prefix, epoch)):
        if os.path.exists(path):
            raise InputError(f"{path} exists: choose another --output, or remove it")
    symbol, arg_params, aux_params = load_checkpoint(own, own_epoch)
    symbol = cut_at_embedding(symbol)
    kept = {*symbol.list_arguments(), *symbol.list_auxiliary_states()} - {"data"}
    missing = kept - {*arg_params, *aux_params}
    if missing:
        raise InputError(
            f"{params_path(own, own_epoch)} lacks arrays that its graph needs: "
            f"{listed(sorted(missing))} (do symbol and params belong together?)"
        )
    arg_params, aux_params = (
        {name: array for name, array in arrays.items() if name in kept}
        for arrays in (arg_params, aux_params)
    )
    path = save_checkpoint(prefix, epoch, symbol, arg_params, aux_params)
    return path, os.path.getsize(path), os.path.getsize(params_path(own, own_epoch))
