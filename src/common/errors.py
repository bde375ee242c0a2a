"""Errors that a user can fix, and how a command ends with one."""

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn, TextIO

WRONG_INPUT = 2  # the exit status after an InputError, or an error of the operating system
CLOSED_PIPE = 141  # the exit status of a program whose output pipe was closed: 128 + SIGPIPE
INTERRUPTED = 130  # the exit status of a program that was interrupted: 128 + SIGINT
TERMINATED = 143  # the exit status of a program that was terminated: 128 + SIGTERM
WORKER_KILLED = 3  # the exit status after a worker process was killed, or memory ran out


class InputError(ValueError):
    """Wrong input; the message says what was expected, what was found, and how to fix it."""


class WorkerKilled(Exception):
    """A worker process was killed, and again when its work was repeated; the message names it."""


class StopRequested(Exception):
    """A signal asked the run to stop, during work that can be repeated."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated as Ctrl-C is."""


class NoMoreData(InputError):
    """The training data cannot give another batch; after the first, this ends a run normally."""


def listed(names: Iterable[object], shown: int = 8) -> str:
    """The first few names and how many more there are, for a message."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


def printable(text: str, kept: str = "") -> str:
    """The text with invalid bytes and control characters escaped, for any terminal and log.

    Names and files from elsewhere may contain escape sequences, which a terminal would obey.

    Parameters
    ----------
    kept
        Control characters that are not escaped.
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in kept else repr(letter)[1:-1] for letter in text
    )


class _PrintableOutput:
    """A text stream that writes what `printable` returns to another one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text, kept="\t\n\r"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def show_input_errors() -> None:
    """Makes an uncaught `InputError` end the program with one line and no traceback.

    For errors while modules are imported, before a command can catch them.
    """
    show_others = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, InputError):
            print(f"error: {printable(str(error))}", file=sys.stderr)
        else:
            show_others(kind, error, trace)

    sys.excepthook = show


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command's `main` and exits: with status 2 and one line, no traceback, on wrong input.

    Errors of the operating system (a missing file, a full disk, a folder instead of a file) are
    treated in the same way; they name the file. `WorkerKilled` and a lack of memory give status 3,
    Ctrl-C 130 and SIGTERM 143, with one line too. If the output is piped to a program that stops
    reading, such as `head`, the command ends silently.

    Parameters
    ----------
    main
        Takes no argument (it reads `sys.argv`); returns None or an exit status.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is not UTF-8 must not end a run that has done its work.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _sigterm_as_interrupt(), contextlib.redirect_stdout(_PrintableOutput(sys.stdout)):
            status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)
    except (InputError, OSError) as error:
        logging.getLogger(__name__).debug("the error came from here", exc_info=True)
        _exit(error, f"error: {printable(str(error))}", WRONG_INPUT)
    except WorkerKilled as error:
        _exit(error, f"error: {printable(str(error))}", WORKER_KILLED)
    except MemoryError as error:
        _exit(error, "error: out of memory: use fewer workers or smaller batches", WORKER_KILLED)
    except KeyboardInterrupt as error:
        status = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        _exit(error, "interrupted; run the same command again to continue", status)
    sys.exit(status)


def _exit(error: BaseException, line: str, status: int) -> NoReturn:
    """Ends the program with one line."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # what follows is short
            signal.signal(number, signal.SIG_IGN)
    # Ends suspended generators, and with them worker processes that still have work.
    traceback.clear_frames(error.__traceback__)
    print(line, file=sys.stderr)
    sys.exit(status)


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Raises `Terminated` on SIGTERM, in the main thread, where Python receives signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
