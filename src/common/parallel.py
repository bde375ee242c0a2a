"""Work spread over processes or threads, with the results in order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import joblib

from src.common.log import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    description: str,
    unit: str = "photo",
    threads: bool = False,
    count: Callable[[Any], int] = lambda item: 1,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed by `workers` in parallel.

    Runs on joblib, so `joblib.parallel_config(backend='dask')` around it spreads the same work over
    a cluster. A bar on stderr shows rate and ETA.

    Parameters
    ----------
    function
        Must be importable by name if processes are used.
    workers
        1 runs in this process.
    description, unit
        For the progress bar.
    threads
        Threads instead of processes, for work that releases the GIL.
    count
        Number of units in an item.
    """
    if workers == 1:
        results = map(function, items)
    else:
        pool = joblib.Parallel(
            n_jobs=workers, prefer="threads" if threads else "processes", return_as="generator"
        )
        results = pool(joblib.delayed(function)(item) for item in items)
    with progress_bar(description, unit, total=sum(map(count, items))) as bar:
        for item, result in zip(items, results, strict=True):
            bar.update(count(item))
            yield result
