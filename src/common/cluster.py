"""Runs `parallel.ordered_map` on the machines of a cluster instead of this one's processes."""

import contextlib
from collections.abc import Iterator

import joblib

from src.common.errors import InputError

BACKENDS = ("local", "dask")
CONNECT_SECONDS = 20


@contextlib.contextmanager
def on_backend(backend: str, scheduler: str = "") -> Iterator[None]:
    """Context manager: work of `ordered_map` goes to a cluster.

    All machines need this package, the photos and the output folder under the same paths.

    Parameters
    ----------
    backend
        'local' for processes of this machine; 'dask' for an existing Dask cluster.
    scheduler
        HOST:PORT of the Dask scheduler.

    Raises
    ------
    InputError
        The backend is not installed, or nothing answers at that address.
    """
    if backend == "local":
        if scheduler:
            raise InputError(f"--scheduler {scheduler} needs --backend dask")
        yield
        return
    if not scheduler:
        raise InputError(f"--backend {backend} needs --scheduler HOST:PORT")
    try:
        import distributed
    except ImportError:
        raise InputError("--backend dask needs Dask: pip install -e '.[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({error})") from None
    with client, joblib.parallel_config(backend=backend):
        yield
