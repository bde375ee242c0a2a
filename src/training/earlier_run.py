"""The files of an earlier run with the same `--prefix`: never overwritten, but moved aside."""

import itertools
import logging
import os

from src.checkpoints.names import find_epochs, params_path, symbol_path
from src.common.errors import InputError, listed
from src.training.resume import state_path

log = logging.getLogger(__name__)


def earlier_files(prefix: str) -> list[str]:
    """Paths of what a run with that `--prefix` has written: state, graph and checkpoints."""
    paths = [state_path(prefix), symbol_path(prefix)]
    paths += [params_path(prefix, epoch) for epoch in find_epochs(prefix)]
    return [path for path in paths if os.path.exists(path)]


def lock_path(prefix: str) -> str:
    """Path of the file that a run with that `--prefix` locks."""
    folder, name = os.path.split(prefix)
    return os.path.join(folder, f".{name}.lock")


def refuse_earlier_run(prefix: str, resume: bool) -> None:
    """Raises InputError if the run would overwrite the files of another one.

    A run to be resumed may have any files if it has a state.
    """
    files = earlier_files(prefix)
    if not files or (resume and state_path(prefix) in files):
        return
    found = f"--prefix {prefix} is in use: {listed(files, 3)} exist"
    if resume:
        raise InputError(
            f"{found}, without the {state_path(prefix)} that --resume needs: continue from a "
            "checkpoint with --pretrained and another --prefix, or use --start-over to move them "
            "aside"
        )
    has_state = state_path(prefix) in files
    raise InputError(
        f"{found}: {'use --resume to continue that run, ' if has_state else ''}"
        "use --start-over to move its files aside and begin again, or choose another --prefix"
    )


def move_aside(prefix: str) -> None:
    """Moves the files of an earlier run into a new folder `<prefix>.old-<n>`, names unchanged.

    The state goes first: what a kill leaves behind is then refused, not continued.
    """
    files = earlier_files(prefix)
    if not files:
        return
    names = (f"{prefix}.old-{number}" for number in itertools.count(1))
    folder = next(name for name in names if not os.path.lexists(name))
    os.mkdir(folder)
    for path in files:
        os.rename(path, os.path.join(folder, os.path.basename(path)))
    log.info("--start-over: %d files of the earlier run are now in %s", len(files), folder)
