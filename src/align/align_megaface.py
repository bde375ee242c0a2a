"""Finds the face in each photo of a data set and aligns it to the 112×112 template.

    python -u -m src.align.align_megaface --input-dir photos --name webface --output-dir aligned

writes `aligned/photos/<person>/<photo>` and the list `aligned/lst`. Photos that cannot be read or
have no face are skipped and listed with the reason in `aligned/lst.skipped`. Run the same command
again to resume a stopped run.

Kinds of data sets (--name):

    webface, lfw, vgg   DIR/<person>/<photo>
    facescrub           the same
    ytf                 DIR/<person>/<video>/<frame>
    clfw                DIR/<photo>, all with label 0
    celeb               the photos listed in DIR_clean_list.txt
    megaface            DIR/<group>/<person>/<photo>.jpg, box and landmarks in <photo>.jpg.json
    fgnet               DIR/<person>/<photo>.JPG, box and landmarks in <photo>.JPG.json
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

import numpy as np

from src.align.align_set import run_command_of
from src.align.choices import IOU
from src.align.flags import add_alignment_flags, add_image_size
from src.common.arguments import make_parser
from src.common.errors import run_command
from src.formats.photo_sets import DATASETS

__all__ = ["IOU", "main", "parse_arguments", "to_rgb"]


def to_rgb(img: np.ndarray) -> np.ndarray:
    """A grey image (H, W) as RGB (H, W, 3), uint8."""
    return np.repeat(img.astype(np.uint8)[:, :, None], 3, axis=2)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a Namespace."""
    parser = make_parser(__doc__)
    add_alignment_flags(parser)
    add_image_size(parser)
    parser.add_argument(
        "--name", required=True, choices=list(DATASETS), help="kind of the data set"
    )
    parser.add_argument(
        "--keep-undetected",
        action="store_true",
        help="if no face is found in a photo whose box or landmarks are unknown, crop its box, "
        "or without one the centre; without this flag such photos are skipped",
    )
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the three flags of 2018."""
    run_command_of("megaface", parse_arguments, args, lambda flags: flags.keep_undetected)


if __name__ == "__main__":
    run_command(main)
