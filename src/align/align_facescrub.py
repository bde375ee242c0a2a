"""Aligns FaceScrub with the boxes that come with it, as 2018's `align_facescrub` did.

    python -m src.align.align_facescrub --input-dir facescrub --output-dir facescrub_aligned

The input folder has `downloaded/<person>/<person>_<number>.jpg`, the boxes in
`facescrub_actors.txt` and `facescrub_actresses.txt`, and
`facescrub_uncropped_features_list.json` (of MegaFace), which names the photos to use. Writes
`facescrub_aligned/<person>/<person>_<number>.png`, with underscores for spaces, and the list
`facescrub_aligned/lst`. The face that overlaps the box is aligned; without one, the box is cropped.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

from src.align.align_set import run_command_of
from src.align.flags import add_alignment_flags, add_image_size
from src.common.arguments import make_parser
from src.common.errors import run_command
from src.formats.described_sets import described_facescrub


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags, and some of `align_megaface`."""
    parser = make_parser(__doc__)
    add_alignment_flags(parser)
    add_image_size(parser)
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the flags of 2018."""
    run_command_of(
        "facescrub", parse_arguments, args, True, lambda _, path: described_facescrub(path)
    )


if __name__ == "__main__":
    run_command(main)
