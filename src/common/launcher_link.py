"""The link between `src.training.launch` and the processes that it starts: their standard input.

The launcher keeps the input of every process open. A line `stop` asks for a regular stop; the end
of the input says that the launcher is gone, and with it the other processes. Over ssh this works
on other machines, too, where signals do not arrive.
"""

import contextlib
import os
import signal
import sys
import threading

LINK = "INSIGHTFACE_LAUNCHER"  # in the environment of the processes: what connects them
BY_INPUT = "stdin"
STOP = b"stop\n"
LAUNCHER_GONE = 4  # exit status


def follow_launcher() -> None:
    """Obeys the launcher from now on, in a thread; no effect in a process that it did not start."""
    if os.environ.get(LINK) == BY_INPUT:
        threading.Thread(target=_follow, daemon=True, name="launcher").start()


def _follow() -> None:
    received = b""
    with contextlib.suppress(OSError):
        while part := os.read(0, 1024):
            received += part
            while STOP in received:
                received = received.replace(STOP, b"", 1)
                os.kill(os.getpid(), signal.SIGTERM)
    print("error: the launcher of this process is gone", file=sys.stderr, flush=True)
    os._exit(LAUNCHER_GONE)  # the main thread may be waiting in MXNet
