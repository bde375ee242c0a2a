"""What verification measures: checkpoints, and sets of pairs."""

import functools
import logging
import os
import time
from collections.abc import Callable, Sequence

from src.checkpoints.binding import bind_embedding
from src.checkpoints.files import load_checkpoint
from src.checkpoints.names import parse_model, split_model
from src.common.errors import InputError
from src.common.mxnet_backend import mx

log = logging.getLogger(__name__)


def choose_epochs(model: str, newest_range: str) -> tuple[str, list[int]]:
    """(prefix, epochs) of `--model` and `--max`.

    Parameters
    ----------
    model
        'prefix,epoch', 'prefix,1|2|3', or 'prefix' for all epochs, the newest first.
    newest_range
        'a,b' keeps epochs [a, b) of 'prefix', counted from 0 for the newest, if there are more than
        b epochs; '' keeps all.

    Raises
    ------
    InputError
        There is no such checkpoint, or `newest_range` is not such a pair of integers.
    """
    prefix, epochs = parse_model(model)
    if split_model(model)[1] is not None:
        return prefix, epochs
    if newest_range:
        bounds = newest_range.split(",")
        if len(bounds) != 2 or not all(bound.strip().isdecimal() for bound in bounds):
            raise InputError(f"--max {newest_range}: expected two integers a,b")
        first, stop = map(int, bounds)
        if first >= stop:
            raise InputError(f"--max {newest_range}: the first number must be below the second")
        if len(epochs) > stop:
            epochs = epochs[first:stop]
    return prefix, epochs


def find_targets(data_dir: str, target: str) -> dict[str, str]:
    """{name: path} of the sets of `--target` that exist; logs a warning for each of the others.

    Raises
    ------
    InputError
        None of them exists.
    """
    names = [name.strip() for name in target.split(",") if name.strip()]
    paths = {name: os.path.join(data_dir, f"{name}.bin") for name in names}
    existing = {name: path for name, path in paths.items() if os.path.isfile(path)}
    if not existing:
        entries = os.listdir(data_dir or ".")
        found = sorted(name[:-4] for name in entries if name.endswith(".bin"))
        raise InputError(
            f"--target {target}: none of {', '.join(paths.values()) or '(nothing)'} exists; the "
            f".bin files in {data_dir or 'this folder'} are: {', '.join(found) or 'none'}"
        )
    for name in names:
        if name not in existing:
            log.warning("%s is missing; skipping target %s", paths[name], name)
    return existing


def model_loader(
    prefix: str, context: mx.Context, batch_size: int, image_size: Sequence[int]
) -> Callable[[int], mx.mod.Module]:
    """A function from an epoch to the bound model; it caches the last one."""

    @functools.lru_cache(maxsize=1)
    def load_model(epoch: int) -> mx.mod.Module:
        print("loading", prefix, epoch)
        start = time.monotonic()
        model = bind_embedding(*load_checkpoint(prefix, epoch), context, batch_size, image_size)
        print("model loading time", time.monotonic() - start)
        return model

    return load_model
