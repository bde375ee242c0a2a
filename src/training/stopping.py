"""Why a run ends before its time: a signal, or numbers that are no longer finite."""

import contextlib
import signal
import threading

from src.common.errors import InputError


class Diverged(InputError):
    """The network gives NaN or infinity."""


class StopRequest:
    """Becomes true after a signal asked for the end."""

    def __init__(self):
        self.signal = None

    def __bool__(self):
        return self.signal is not None


@contextlib.contextmanager
def stop_on_signals():
    """Yields a `StopRequest` that Ctrl-C and SIGTERM set; a second one ends the program at once.

    The step under way is finished first: parameters are updated one after another, and half a step
    is none. Outside of the main thread, where Python takes no signals, it never becomes true.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    former = {}

    def ask(number, _frame):
        request.signal = number
        restore()

    def restore():
        for number, handler in former.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        former[number] = signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
