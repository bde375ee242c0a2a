"""Reasons to end a run early: a signal, or values that are no longer finite."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from src.common.errors import InputError


class Diverged(InputError):
    """The network gives NaN or infinity."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yields an event that Ctrl-C and SIGTERM set; a second signal ends the program at once.

    The current step is finished first: a run never stops in the middle of an update. Outside of the
    main thread, where Python does not receive signals, nothing sets it.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former: dict[int, Any] = {}

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        former[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
