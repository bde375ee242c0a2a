"""Writes a checkpoint without its classifier: all that is needed to compare faces.

    python -m src.slim --model models/y1/model,12 --output models/y1/slim

writes models/y1/slim-symbol.json and models/y1/slim-0000.params. The embeddings stay the same.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
from collections.abc import Sequence

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import run_command
from src.common.log import configure_logging
from src.common.writable import check_output_file
from src.deploy.slimming import slim


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--model", required=True, help="prefix,epoch, or prefix for the newest checkpoint")
    add("--output", required=True, metavar="PREFIX", help="of the new checkpoint")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    check_output_file(args.output, "--output")
    path, size, before = slim(args.model, args.output)
    print(f"{path}: {size / 1e6:.1f} MB, {before / 1e6:.1f} MB before")


if __name__ == "__main__":
    run_command(main)
