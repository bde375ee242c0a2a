"""Work spread over processes or threads, with the results in order."""

import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from src.common.errors import WorkerDied
from src.common.log import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

PARENT_EVERY = 1.0  # seconds between a worker's looks at whether its parent still lives


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
        Must be importable by name if processes are used. It may be called again for an item whose
        worker died.
    workers
        1 runs in this process.
    description, unit
        For the progress bar.
    threads
        Threads instead of processes, for work that releases the GIL.
    count
        Number of units in an item.

    Raises
    ------
    WorkerDied
        A worker process died, and so did the one that tried its items again.
    """
    if workers == 1:
        results: Iterator[Result] = map(function, items)
    elif threads:
        pool = joblib.Parallel(n_jobs=workers, prefer="threads", return_as="generator")
        results = pool(joblib.delayed(function)(item) for item in items)
    else:
        results = _in_processes(functools.partial(_run, function), items, workers)
    with progress_bar(description, unit, total=sum(map(count, items))) as bar:
        for item, result in zip(items, results, strict=True):
            bar.update(count(item))
            yield result


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """The results in order; after the death of a worker, the items left get new workers once."""
    done, died_at = 0, -1
    while done < len(items):
        pool = joblib.Parallel(n_jobs=workers, prefer="processes", return_as="generator")
        with _interrupts_blocked():
            results = pool(joblib.delayed(function)(item) for item in items[done:])
        try:
            for result in results:
                yield result
                done += 1
        except TerminatedWorkerError:
            if died_at == done:
                raise WorkerDied(
                    "a worker process died twice at the same work (killed, or out of memory): what "
                    "is finished is kept; run the same command again to continue, with fewer "
                    "workers"
                ) from None
            died_at = done
            log.warning("a worker process died (killed, or out of memory): its work is tried again")


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Workers started in the block never receive Ctrl-C: their parent ends them, without a word."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _run(function: Callable[[Item], Result], item: Item) -> Result:
    """Calls the function, in a worker that ends with its parent."""
    _end_with_parent()
    return function(item)


@functools.cache
def _end_with_parent() -> None:
    """Ends this process, if it is one of joblib's local workers, soon after its parent is killed.

    Otherwise it would wait for work for minutes, and hold its memory and locks.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
