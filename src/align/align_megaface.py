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
import os
from collections.abc import Sequence

import numpy as np

from src.align.alignment import LIST_NAME, align_dataset
from src.align.detector import PYRAMID_FACTOR, THRESHOLDS
from src.align.ladder import FACE_CHOICES, IOU, SMALLEST_FACE, WAYS
from src.align.planning import Settings
from src.common.arguments import make_parser, parse_image_size, positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.output_files import lies_within, whole_file
from src.common.sources import claim, numbered
from src.formats.photo_sets import DATASETS, get_dataset

WAY_NAMES = tuple(way.description for way in WAYS)

__all__ = ["IOU", "main", "parse_arguments", "to_rgb"]


def to_rgb(img: np.ndarray) -> np.ndarray:
    """A grey image (H, W) as RGB (H, W, 3), uint8."""
    return np.repeat(img.astype(np.uint8)[:, :, None], 3, axis=2)


def align(
    input_dir: str,
    name: str,
    output_dir: str,
    settings: Settings,
    workers: int,
    add: bool = False,
    ways: Sequence[str] = WAY_NAMES,
) -> None:
    """Aligns the photos of a data set and prints a summary.

    Parameters
    ----------
    name
        Kind of the data set.
    workers
        Number of processes.
    add
        Whether the output folder may already belong to another input folder.
    ways
        Descriptions of the counters, for the summary.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such folder, it contains no photos, or none of them could be aligned; the output
        folder belongs to another input folder, or another process is writing it.
    """
    input_dir, output_dir = os.path.expanduser(input_dir), os.path.expanduser(output_dir)
    if lies_within(output_dir, input_dir):
        raise InputError(
            f"--output-dir {output_dir} lies within --input-dir {input_dir}, so the next run "
            "would read the aligned faces as photos; choose another folder"
        )
    print("input_dir ", input_dir)
    dataset = get_dataset(name, input_dir)
    print("dataset size", name, len(dataset))
    if not dataset:
        raise InputError(f"{input_dir}: no photos where --name {name} expects them (see --help)")
    print("Creating networks and loading parameters")
    if settings.style == "megaface":  # 2018: `align_lfw` did not print them
        for parameter in (SMALLEST_FACE, list(THRESHOLDS), PYRAMID_FACTOR):
            print(parameter)
    with only_writer(output_dir, "--output-dir"):
        source, _ = claim(output_dir, input_dir, add)
        counters, skipped = align_dataset(
            dataset, output_dir, settings, workers, _print_progress, source
        )
        path = os.path.join(output_dir, f"{numbered(LIST_NAME, source)}.skipped")
        _print_summary(counters, skipped, len(dataset), path, ways)


def _print_progress(number: int, counters: np.ndarray) -> None:
    """Prints 2018's line every 100 photos."""
    if number % 100 == 0:
        print(f"Processing {number}, ({counters})", flush=True)


def _print_summary(
    counters: np.ndarray,
    skipped: Sequence[tuple[str, str]],
    total: int,
    path: str,
    ways: Sequence[str],
) -> None:
    """Prints the counts and lists skipped photos in a file; InputError if no photo was aligned."""
    print(f"aligned {counters.sum()} of {total} photos")
    for count, way in zip(counters, ways, strict=False):
        print(f"{count:8d}  {way}")
    with whole_file(path, "w", errors="surrogateescape") as file:
        for photo, reason in skipped:
            # Names with a tab or newline, which are skipped, must not break this file either.
            name = photo.translate({9: "\\t", 10: "\\n", 13: "\\r"})
            file.write(f"{name}\t{reason}\n")
    if skipped:
        print(f"skipped {len(skipped)} of {total}: list in {path}")
    if not counters.sum():
        raise InputError(f"none of the {total} photos could be aligned; the reasons are in {path}")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a Namespace."""
    parser = make_parser(__doc__)
    parser.add_argument("--input-dir", required=True, help="folder of photos")
    parser.add_argument(
        "--name", required=True, choices=list(DATASETS), help="kind of the data set"
    )
    parser.add_argument("--output-dir", required=True, help="folder for the faces and the list")
    parser.add_argument("--image-size", default="112,112", help="height,width of the faces")
    parser.add_argument(
        "--num-workers",
        type=positive_int,
        default=os.cpu_count(),
        help="number of worker processes (default: number of cores)",
    )
    parser.add_argument(
        "--face",
        default="first",
        choices=list(FACE_CHOICES),
        help="which of several faces to align: first, the one with the best score, as in 2018; or "
        "central, the largest near the middle, usually the subject of the photo",
    )
    parser.add_argument(
        "--keep-undetected",
        action="store_true",
        help="if no face is found in a photo whose box or landmarks are unknown, crop its box, "
        "or without one the centre; without this flag such photos are skipped",
    )
    parser.add_argument(
        "--det-model",
        default=None,
        metavar="DIR",
        help="folder with det1.npy, det2.npy, det3.npy (default: weights of the package mtcnn)",
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help="add this set to an OUTPUT_DIR that has the faces of another one; its faces are in "
        "<set>-2 and its list is lst-2",
    )
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; a Namespace may have only the three flags of 2018."""
    configure_logging()
    args = resolve_arguments(parse_arguments, args)
    if "num_workers" not in args:
        flags = ["--input-dir", args.input_dir, "--name", args.name]
        args = parse_arguments([*flags, "--output-dir", args.output_dir])
    image_size = parse_image_size(args.image_size)
    settings = Settings(image_size, args.keep_undetected, args.det_model, args.face)
    align(args.input_dir, args.name, args.output_dir, settings, args.num_workers, args.add)


if __name__ == "__main__":
    run_command(main)
