"""Aligns the photos in a TSV file of MS-Celeb-1M, as 2018's `align_celeb` did.

    python -m src.align.align_celeb --input-dir MsCelebV1-Faces.tsv --output-dir celeb_aligned

`--input-dir` is the file: person, number, …, photo in base64 on each line. Only photos named in
`<file>_clean_list.txt` are used (lines `./m.<person>/<number>.jpg`). Writes
`celeb_aligned/<person>/<number>.jpg` and the list `celeb_aligned/faceinsight_align_celeb.lst`. The
most central face is warped by its landmarks, without a second look; photos without a face are
skipped. Photos in folders are aligned by `align_megaface --name celeb`.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

from src.align.align_set import run_command_of
from src.align.flags import add_alignment_flags, add_image_size
from src.common.arguments import make_parser
from src.common.errors import run_command
from src.formats.described_sets import celeb_tsv


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags, and some of `align_megaface`."""
    parser = make_parser(__doc__)
    add_alignment_flags(parser, face="central")
    add_image_size(parser)
    parser.add_argument("--name", default="celeb", help="part of the list's name")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the flags of 2018."""
    run_command_of("celeb", parse_arguments, args, False, lambda _, path: celeb_tsv(path))


if __name__ == "__main__":
    run_command(main)
