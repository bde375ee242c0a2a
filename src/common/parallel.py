"""Work spread over processes or threads, with the results in order."""

import contextlib
import functools
import logging
import multiprocessing.resource_tracker
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from src.common.errors import WorkerKilled
from src.common.log import progress_bar

log = logging.getLogger(__name__)

PARENT_EVERY = 1.0  # seconds between a worker's looks at whether its parent still lives

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
    name: Callable[[Any], str] = str,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed by `workers` in parallel.

    Runs on joblib, so `joblib.parallel_config(backend='dask')` around it spreads the same work over
    a cluster. A bar on stderr shows rate and ETA. If a worker process dies, the unfinished items
    are repeated, one at a time, so `function` must be repeatable.

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
    name
        An item as text, for the message of `WorkerKilled`.

    Raises
    ------
    WorkerKilled
        A worker process died at an item, and the next one at the same item.
    """
    results: Generator[Result, None, None]
    if workers == 1:
        results = (function(item) for item in items)
    elif threads:
        results = _pooled(function, items, workers, "threads")
    else:
        results = _in_processes(functools.partial(_run, function), items, workers, name)
    with (
        contextlib.closing(results),
        progress_bar(description, unit, total=sum(map(count, items))) as bar,
    ):
        for item, result in zip(items, results, strict=True):
            bar.update(count(item))
            yield result


def _in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    name: Callable[[Any], str],
) -> Generator[Result, None, None]:
    """Yields the results of worker processes; the items of a dead one are repeated."""
    done = taken = 0

    def take(first: int) -> Iterator[Item]:
        nonlocal taken
        for taken in range(first + 1, len(items) + 1):
            yield items[taken - 1]

    while done < len(items):
        try:
            for result in _pooled(function, take(done), workers, "processes"):
                done += 1
                yield result
        except (TerminatedWorkerError, MemoryError):
            log.warning(
                "a worker process was killed, perhaps because memory ran out; its work is repeated"
            )
            # joblib does not tell whose item it was: any of those that were taken by then.
            for item in items[done:taken]:
                result = _repeated(function, item, name)
                done += 1
                yield result


def _repeated(function: Callable[[Item], Result], item: Item, name: Callable[[Any], str]) -> Result:
    """The result of a new worker process that has nothing else to do."""
    # Twice, because another item may be the one at which a worker has died before.
    for _ in range(2):
        with contextlib.suppress(TerminatedWorkerError, MemoryError):
            # With n_jobs=1, joblib would run it in this process.
            (result,) = _pooled(function, [item], 2, "processes")
            return result
    raise WorkerKilled(
        f"{name(item)}: a worker process was killed here twice, perhaps because memory ran out; "
        "finished work is kept: run the same command again with fewer workers, or without this "
        "input, to continue"
    )


def _pooled(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, prefer: str
) -> Generator[Result, None, None]:
    """Yields the results of joblib's workers; they are killed if the caller stops earlier."""
    # It warns of results that nobody takes, and if it cannot look for the children of a worker.
    warnings.filterwarnings("ignore", module=r"joblib\.")
    pool = joblib.Parallel(n_jobs=workers, prefer=prefer, return_as="generator")
    with _signals_only_here():
        results = pool(joblib.delayed(function)(item) for item in items)
    with contextlib.closing(results):
        yield from results


@contextlib.contextmanager
def _signals_only_here() -> Iterator[None]:
    """Processes started in this block, and by threads of it, do not get Ctrl-C and SIGTERM.

    A terminal and a job scheduler send them to all processes. This one ends its workers itself;
    they would print a traceback each, and look as if they had been killed for lack of memory.
    """
    # Signals are unblocked after these are started, so that must have happened before.
    multiprocessing.resource_tracker.ensure_running()
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
