"""Aligns photos of one person each, such as LFW's, with the settings of 2018's `align_lfw`.

    python -m src.align.align_lfw --input-dir lfw --output-dir lfw_aligned

writes `lfw_aligned/<person>/<photo>` and the list `lfw_aligned/lst`. The detector looks for faces
from 20 pixels on, with thresholds 0.6, 0.7, 0.9 and a pyramid factor of 0.85. The most central face
is warped by its landmarks; without a face, the middle of the photo is taken. `align_megaface`
detects a second time around the landmarks, and skips photos without a face.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

from src.align.align_set import run_command_of
from src.align.flags import add_alignment_flags, add_image_size
from src.align.settings import SMALL_FACES
from src.common.arguments import make_parser
from src.common.errors import run_command


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags, and some of `align_megaface`."""
    parser = make_parser(__doc__)
    add_alignment_flags(parser, face="central", **SMALL_FACES)
    add_image_size(parser)
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the flags of 2018."""
    run_command_of("lfw", parse_arguments, args, True)


if __name__ == "__main__":
    run_command(main)
