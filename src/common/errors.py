"""The error for what a user can mend, and how a command ends on it."""

import logging
import os
import sys

CLOSED_PIPE = 141  # the exit status of a program whose reader went away: 128 + SIGPIPE


class InputError(ValueError):
    """Wrong input; the message says what was expected, what was found, and how to mend it."""


def listed(names, shown=8):
    """The first few names, and how many more there are: for a message."""
    names = [str(name) for name in names]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def show_input_errors():
    """From here on an uncaught `InputError` ends the program with its one line, no traceback.

    For what fails while modules are being imported, before a command can catch it.
    """
    show_others = sys.excepthook

    def show(kind, error, trace):
        if issubclass(kind, InputError):
            print(f"error: {error}", file=sys.stderr)
        else:
            show_others(kind, error, trace)

    sys.excepthook = show


def run_command(main):
    """Runs a command's `main` and exits: status 2 and one line, without traceback, on wrong input.

    What the operating system refuses (a missing file, a full disk, a folder where a file is to be
    written) is the user's to mend as well; its errors name the file. Where the output goes to a
    program that has read enough, as `head` does, the command ends without a word.

    Parameters
    ----------
    main : callable
        Takes no argument (it reads `sys.argv`) and returns None or an exit status.
    """
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)
    except (InputError, OSError) as error:
        logging.getLogger(__name__).debug("the error came from here", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    sys.exit(status)
