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
import os
from collections.abc import Sequence

from src.align.align_megaface import align
from src.align.lfw_style import WAYS
from src.align.planning import Settings
from src.common.arguments import (
    make_parser,
    parse_image_size,
    positive_int,
    resolve_arguments,
)
from src.common.errors import run_command
from src.common.log import configure_logging


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags, and some of `align_megaface`."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--input-dir", required=True, help="folder of <person>/<photo>")
    add("--output-dir", required=True, help="folder for <person>/<photo> and the list")
    add("--image-size", default="112,112", help="height,width of the faces")
    add(
        "--num-workers",
        type=positive_int,
        default=os.cpu_count(),
        help="number of worker processes (default: number of cores)",
    )
    add("--det-model", metavar="DIR", help="folder with det1.npy, det2.npy, det3.npy")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the flags of 2018."""
    configure_logging()
    args = resolve_arguments(parse_arguments, args)
    settings = Settings(
        parse_image_size(args.image_size),
        keep_undetected=True,
        det_model=getattr(args, "det_model", None),
        face="central",
        style="lfw",
    )
    workers = getattr(args, "num_workers", None) or os.cpu_count() or 1
    align(args.input_dir, "lfw", args.output_dir, settings, workers, ways=WAYS)


if __name__ == "__main__":
    run_command(main)
