"""Arrays whose rows are divided among several workers: collected on the first, and distributed."""

from collections.abc import Iterator, Sequence

from src.common.mxnet_backend import mx
from src.common.workers import Workers
from src.training.class_vectors import ROWS_AT_A_TIME

Part = tuple[int, mx.nd.NDArray]
"""First row and rows (R, D) that a device of this worker has."""


def collected(
    workers: Workers, parts: Sequence[Part], shape: tuple[int, int]
) -> mx.nd.NDArray | None:
    """The whole array (C, D) on the CPU of the first worker; None on the others."""
    whole = mx.nd.empty(shape) if workers.is_first else None
    for rows, block in _blocks(shape):
        for place, part, held in _common(rows, parts):
            block[place] = part[held].as_in_context(block.context)
        workers.add_up("rows", block)
        if whole is not None:
            whole[rows] = block[: rows.stop - rows.start]
    return whole


def distribute(
    workers: Workers, whole: mx.nd.NDArray | None, parts: Sequence[Part], shape: tuple[int, int]
) -> None:
    """Writes the rows of the first worker's array (C, D) to the parts of all workers."""
    for rows, block in _blocks(shape):
        if workers.is_first:
            assert whole is not None
            block[: rows.stop - rows.start] = whole[rows].reshape((-1, shape[1]))
        workers.copy_first("rows", block)
        for place, part, held in _common(rows, parts):
            part[held] = block[place].as_in_context(part.context)


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, mx.nd.NDArray]]:
    """Ranges of rows, each with a block of zeros, always of the same shape, for their values."""
    rows, columns = shape
    for begin in range(0, rows, ROWS_AT_A_TIME):
        stop = min(begin + ROWS_AT_A_TIME, rows)
        yield slice(begin, stop), mx.nd.zeros((min(ROWS_AT_A_TIME, rows), columns))


def _common(rows: slice, parts: Sequence[Part]) -> Iterator[tuple[slice, mx.nd.NDArray, slice]]:
    """Where rows and parts overlap: (place in the rows, the part, place in the part)."""
    for first, part in parts:
        begin, stop = max(rows.start, first), min(rows.stop, first + len(part))
        if begin < stop:
            yield (
                slice(begin - rows.start, stop - rows.start),
                part,
                slice(begin - first, stop - first),
            )
