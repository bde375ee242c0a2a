"""Trains with the loss of `--loss-type`: 0 to 5 as `train_softmax`, 12 as `train_triplet`.

    python -u -m src.train --data-dir faces --prefix models/y1/model --network y1 --loss-type 4

All other flags are those of the two commands, and so are the results.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import sys
from collections.abc import Sequence

from src import train_softmax, train_triplet
from src.common.errors import run_command

TRIPLET = "12"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--loss-type", default="4")
    chosen = parser.parse_known_args(argv)[0].loss_type
    (train_triplet if chosen == TRIPLET else train_softmax).main(argv)


if __name__ == "__main__":
    run_command(main)
