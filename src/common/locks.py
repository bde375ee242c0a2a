"""Locks on files, which the system releases when their process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator

from src.common.errors import InputError

LOCK = ".lock"  # of an output folder

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # of some network file systems


def open_locked(path: str, flags: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """The descriptor of a file that only this process has locked, or None if another one has it.

    The lock ends when the descriptor is closed. Where the file system has no locks, every process
    gets the file.
    """
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass  # its former owner has removed or renamed it in between: try again
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor
            os.close(descriptor)
            raise
        os.close(descriptor)


def only_writer(folder: str, flag: str, part: str = "") -> contextlib.AbstractContextManager[None]:
    """As `only_process`, for an output folder and the flag that gave it.

    Parameters
    ----------
    part
        Names a part of the folder that several processes may write at once, one part each.
    """
    return only_process(os.path.join(folder, LOCK + part), f"{flag} {folder}")


@contextlib.contextmanager
def only_process(lock: str, what: str) -> Iterator[None]:
    """Runs the block unless another process is in it with the same lock.

    Parameters
    ----------
    lock
        Path of the lock file, whose folder is created. It contains the number and the machine of
        the process, and is removed at the end. One that a killed process has left locks nothing.
    what
        That is locked, for the message.

    Raises
    ------
    InputError
        Another process has the lock.
    """
    os.makedirs(os.path.dirname(lock) or ".", exist_ok=True)
    descriptor = open_locked(lock)
    if descriptor is None:
        with contextlib.suppress(OSError), open(lock, encoding="utf-8", errors="replace") as file:
            owner = file.read(200).strip()
        raise InputError(
            f"{what} is being written by another run ({owner or 'unknown'}): wait until it ends, "
            "or choose another name"
        )
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(lock)
        os.close(descriptor)
