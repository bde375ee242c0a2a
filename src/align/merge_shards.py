"""Puts the lists of all parts of an alignment together, as one run would have written them.

    python -m src.align.merge_shards aligned

Several machines have aligned a data set with `--shard 0/3`, `--shard 1/3` and `--shard 2/3` of the
aligning commands, into one folder, or into folders that were copied into one. From
`lst.shard-0-of-3`, … this makes `lst`, and in the same way `lst.skipped` and `lst.journal`; then it
removes the parts. Lists of `glint2lst --shard` are put together in the same way; records of
`face2rec2 --shard` by `face2rec2` itself.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import os
from collections.abc import Iterator, Sequence

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.shards import files_in_parts, paths_of_parts

_COMPANIONS = (".skipped", ".journal")  # of a list of aligned faces


def merge_shards(folder: str) -> list[str]:
    """Merges all lists in a folder that are in parts; returns their paths.

    Raises
    ------
    InputError
        There are none, or a part is missing.
    """
    lists = {name: n for name, n in files_in_parts(folder).items() if not name.endswith(".rec")}
    if not lists:
        raise InputError(f"{folder}: no lists of parts (lst.shard-0-of-2, …) are here")
    for name, count in lists.items():
        path = os.path.join(folder, name)
        parts = paths_of_parts(path, count)
        companions = [each for each in _COMPANIONS if os.path.exists(parts[0] + each)]
        for companion in (*companions, ""):  # the list last: it shows that all is done
            _join([part + companion for part in parts], path + companion)
        for part in parts:
            for companion in (*companions, ""):
                os.remove(part + companion)
    return [os.path.join(folder, name) for name in lists]


def _join(parts: Sequence[str], path: str) -> None:
    """Writes the lines of all parts to one file."""
    with whole_file(path) as file:
        for line in _lines(parts, settings_once=path.endswith(".journal")):
            file.write(line)


def _lines(parts: Sequence[str], settings_once: bool) -> Iterator[bytes]:
    """Yields all lines; a journal's line of settings only where they change."""
    settings = b""
    for part in parts:
        with open(part, "rb") as file:
            for line in file:
                if settings_once and line.startswith(b"{"):
                    if line == settings:
                        continue
                    settings = line
                yield line


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a Namespace."""
    parser = make_parser(__doc__)
    parser.add_argument("output_dir", metavar="OUTPUT_DIR", help="of the aligning command")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_arguments, args)
    if not os.path.isdir(args.output_dir):
        raise FileNotFoundError(f"{args.output_dir}: there is no such folder")
    with only_writer(args.output_dir, "OUTPUT_DIR"):
        for path in merge_shards(args.output_dir):
            with open(path, "rb") as file:
                print(f"{path}: {sum(1 for _ in file)} photos")


if __name__ == "__main__":
    run_command(main)
