"""What a run checks before it starts, about its devices and the other workers."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

from src.common.errors import WRONG_INPUT, InputError, NoMoreData
from src.common.mxnet_backend import mx
from src.common.workers import Workers
from src.training.stopping import Diverged

SPEAKING = ("src.loading.image_batches",)  # modules whose warnings concern one worker only


@contextlib.contextmanager
def only_first_speaks(workers: Workers) -> Iterator[None]:
    """In the block, the first worker prints and logs; the others only say what concerns them.

    All workers diverge together, and run out of data together: of that the others say nothing.
    """
    if workers.is_first:
        yield
        return
    loggers = {logging.getLogger(): logging.ERROR}
    loggers |= {logging.getLogger(name): logging.WARNING for name in SPEAKING}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    except (Diverged, NoMoreData):
        raise SystemExit(WRONG_INPUT) from None
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def check_alike(workers: Workers, devices: int, batch_size: int, data_set: str) -> None:
    """Raises InputError unless all workers have the same settings.

    Parameters
    ----------
    data_set
        A checksum, hexadecimal.
    """
    table = workers.gathered([devices, batch_size, int(data_set, 16)])
    for what, column in zip(("devices", "images in its batch"), table.T, strict=False):
        if len(set(column)) > 1:
            raise InputError(
                f"the workers differ: worker {workers.rank} has {column[workers.rank]:g} {what}, "
                f"the first one {column[0]:g}; set --devices so that all have equally many"
            )
    others = [rank for rank, checksum in enumerate(table[:, 2]) if checksum != table[0, 2]]
    if others:
        raise InputError(
            f"the workers differ: property or train.idx in --data-dir of worker {others[0]} is "
            "not that of the first one; copy one data set to all machines"
        )


def check_half(contexts: Sequence[mx.Context], workers: Workers) -> None:
    """Raises InputError where a float16 network cannot be trained."""
    if contexts[0].device_type == "cpu":
        raise InputError(
            "--dtype float16 needs a GPU: on a CPU, MXNet 1.9.1 has neither convolutions nor fully "
            "connected layers of float16 numbers; leave it out"
        )
    if workers.is_distributed:
        raise InputError("--dtype float16 does not work with --kvstore dist_sync: leave one out")
