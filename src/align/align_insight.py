"""Finds the face in each photo of a data set and lists its box and landmarks; aligns nothing.

    python -m src.align.align_insight --input-dir photos --name webface --output-dir found

writes the list `found/faceinsight_align_webface.lst` of unaligned photos, as 2018's `align_insight`
did: `0 photo label x1 y1 x2 y2` and ten landmark numbers between tabs. `face2rec2` warps the faces
while it packs them. For webface, lfw and vgg, faces from 20 pixels on are looked for with
thresholds 0.6, 0.7, 0.9 and a pyramid factor of 0.85; for other kinds, faces from 100 pixels on,
with 0.6, 0.7, 0.7 and 0.709. With a known box, the face that overlaps it most is listed.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

from src.align.align_set import run_command_of
from src.align.flags import add_alignment_flags
from src.align.settings import SMALL_FACES
from src.common.arguments import make_parser
from src.common.errors import run_command
from src.formats.photo_sets import DATASETS

SMALL_FACE_KINDS = ("webface", "lfw", "vgg")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags, and some of `align_megaface`."""
    parser = make_parser(__doc__)
    add_alignment_flags(parser, face="central")
    parser.add_argument(
        "--name", required=True, choices=list(DATASETS), help="kind of the data set"
    )
    parser.add_argument(
        "--force",
        type=int,
        default=1,
        help="1 lists photos without a face too, without landmarks; 0 skips them",
    )
    # These depend on the kind; a flag that is given wins.
    if parser.parse_known_args(argv)[0].name in SMALL_FACE_KINDS:
        parser.set_defaults(**SMALL_FACES)
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the flags of 2018."""
    run_command_of("insight", parse_arguments, args, lambda flags: flags.force > 0)


if __name__ == "__main__":
    run_command(main)
