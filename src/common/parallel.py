"""Work spread over processes or threads, with the results in order."""

import contextlib
import functools
import itertools
import logging
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import joblib
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import LokyBackend, SequentialBackend, ThreadingBackend

from src.common.errors import WorkerKilled
from src.common.log import progress_bar

log = logging.getLogger(__name__)

BLOCK_PER_WORKER = 4  # items, for backends that cannot return results one by one
PARENT_EVERY = 1.0  # seconds between a worker's looks at whether its parent still lives

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    description: str,
    unit: str = "photo",
    threads: bool = False,
    count: Callable[[Any], int] = lambda item: 1,
    name: Callable[[Any], str] = str,
    total: int | None = None,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed by `workers` in parallel.

    Within `cluster.on_backend`, the workers are those of the cluster, however many they are. A bar
    on stderr shows rate and ETA. If a worker process dies, the unfinished items are repeated, one
    at a time, so `function` must be repeatable.

    Parameters
    ----------
    function
        Must be importable by name if processes are used.
    items
        Taken a few at a time.
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
    total
        Number of units; needed if `items` is not a sequence.

    Raises
    ------
    WorkerKilled
        A worker process died at an item, and the next one at the same item.
    """
    if total is None:
        total = sum(map(count, cast(Sequence[Item], items)))
    sizes: deque[int] = deque()  # of the items that were taken

    def taken() -> Iterator[Item]:
        for item in items:
            sizes.append(count(item))
            yield item

    results = _results(function, taken(), workers, threads, name)
    with contextlib.closing(results), progress_bar(description, unit, total=total) as bar:
        for result in results:
            bar.update(sizes.popleft())
            yield result


def _results(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    workers: int,
    threads: bool,
    name: Callable[[Any], str],
) -> Generator[Result, None, None]:
    if threads:
        return _pooled(function, items, workers, "threads")
    if _on_cluster():
        return _in_processes(function, items, -1, name)
    if workers == 1:
        return (function(item) for item in items)
    return _in_processes(functools.partial(_run, function), items, workers, name)


def _on_cluster() -> bool:
    """Whether the caller has chosen another backend than processes of this machine."""
    backend, _ = joblib.parallel.get_active_backend()
    return not isinstance(backend, LokyBackend | ThreadingBackend | SequentialBackend)


def _in_processes(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    workers: int,
    name: Callable[[Any], str],
) -> Generator[Result, None, None]:
    """Yields the results of worker processes; the items of a dead one are repeated."""
    waiting: deque[Item] = deque()  # taken, but without a result
    finished = False

    def take() -> Iterator[Item]:
        nonlocal finished
        for item in items:
            waiting.append(item)
            yield item
        finished = True

    while not finished:
        try:
            for result in _pooled(function, take(), workers, "processes"):
                waiting.popleft()
                yield result
        except _killed_errors():
            log.warning(
                "a worker process was killed, perhaps because memory ran out; its work is repeated"
            )
            # joblib does not tell whose item it was: any of those that were taken by then.
            while waiting:
                result = _repeated(function, waiting[0], name)
                waiting.popleft()
                yield result


def _killed_errors() -> tuple[type[BaseException], ...]:
    """The errors after a worker was killed; Dask's own, if it is used."""
    distributed = sys.modules.get("distributed")
    cluster = (distributed.KilledWorker,) if distributed else ()
    return (TerminatedWorkerError, MemoryError, *cluster)


def _repeated(function: Callable[[Item], Result], item: Item, name: Callable[[Any], str]) -> Result:
    """The result of a new worker process that has nothing else to do."""
    # Twice, because another item may be the one at which a worker has died before.
    for _ in range(2):
        with contextlib.suppress(*_killed_errors()):
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
    work = joblib.delayed(function)
    if not joblib.parallel.get_active_backend()[0].supports_return_generator:  # Ray's
        yield from _in_blocks(work, items, workers)
        return
    pool = joblib.Parallel(n_jobs=workers, prefer=prefer, return_as="generator")
    with _signals_only_here():
        results = pool(work(item) for item in items)
    with contextlib.closing(results):
        yield from results


def _in_blocks(
    work: Callable[[Item], Any], items: Iterable[Item], workers: int
) -> Generator[Any, None, None]:
    """Yields the results of a backend that only returns many at once."""
    pool = joblib.Parallel(n_jobs=workers)
    size = BLOCK_PER_WORKER * joblib.effective_n_jobs(workers)
    remaining = iter(items)
    while block := list(itertools.islice(remaining, size)):
        yield from pool(work(item) for item in block)


@contextlib.contextmanager
def _signals_only_here() -> Iterator[None]:
    """Processes started in this block, and by threads of it, do not get Ctrl-C and SIGTERM.

    A terminal and a job scheduler send them to all processes. This one ends its workers itself;
    they would print a traceback each, and look as if they had been killed for lack of memory.
    """
    # Signals are unblocked after these are started, so that must have happened before.
    with _silent_trackers():
        multiprocessing.resource_tracker.ensure_running()
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _silent_trackers() -> Iterator[None]:
    """Trackers of semaphores started in this block remove what is left without a warning.

    A signal can arrive between the making of a semaphore and the moment from which on it is removed
    at exit. The tracker is there for that, and its warning is of no use to anybody.
    """
    # Trackers are started with this program's own -W options.
    option = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(option)
    try:
        yield
    finally:
        sys.warnoptions.remove(option)


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
