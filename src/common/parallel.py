"""Work spread over processes or threads, with the results in order."""

import joblib

from src.common.log import progress


def ordered_map(function, items, workers, description, unit="photo", threads=False):
    """Yields `function(item)` for each item, in order, worked out by `workers` at a time.

    Runs on joblib, so that `joblib.parallel_config(backend='dask')` around it spreads the same
    work over a cluster. A bar on stderr shows rate and ETA.

    Parameters
    ----------
    function : callable
        Called with one item; must be importable by name if processes are used.
    items : sequence
        What to work on.
    workers : int
        1 works in this process.
    description, unit : str
        For the progress bar.
    threads : bool
        Threads instead of processes, for work that releases the GIL.
    """
    if workers == 1:
        results = map(function, items)
    else:
        pool = joblib.Parallel(
            n_jobs=workers, prefer="threads" if threads else "processes", return_as="generator"
        )
        results = pool(joblib.delayed(function)(item) for item in items)
    yield from progress(results, description, unit, total=len(items))
