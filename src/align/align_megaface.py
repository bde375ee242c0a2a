"""Finds the face in each photo of a data set and turns it to the 112×112 template.

    python -u -m src.align.align_megaface --input-dir photos --name webface --output-dir aligned

writes `aligned/photos/<person>/<photo>` and the list `aligned/lst`. Photos without a face, or that
cannot be read, are skipped and listed with the reason in `aligned/lst.skipped`. The same command,
started again, goes on where it was stopped.

Kinds of data sets (--name):

    webface, lfw, vgg   DIR/<person>/<photo>
    facescrub           the same
    ytf                 DIR/<person>/<video>/<frame>
    clfw                DIR/<photo>, all of label 0
    celeb               the photos that DIR_clean_list.txt names
    megaface            DIR/<group>/<person>/<photo>.jpg, box and landmarks in <photo>.jpg.json
    fgnet               DIR/<person>/<photo>.JPG, box and landmarks in <photo>.JPG.json
"""

import argparse
import os

import numpy as np

from src.align.alignment import Settings, align_dataset
from src.align.ladder import (
    FACE_CHOICES,
    IOU,
    PYRAMID_FACTOR,
    SMALLEST_FACE,
    THRESHOLDS,
    WAYS,
)
from src.common import face_image
from src.common.arguments import positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_preprocess import parse_image_size
from src.common.log import configure_logging
from src.common.output_files import lies_within, whole_file

__all__ = ["IOU", "main", "parse_arguments", "to_rgb"]


def to_rgb(img):
    """Grey (H,W) as RGB (H,W,3), uint8."""
    return np.repeat(img.astype(np.uint8)[:, :, None], 3, axis=2)


def align(input_dir, name, output_dir, settings, workers):
    """Aligns the photos of a data set and prints what became of them.

    Parameters
    ----------
    input_dir : str
    name : str
        Kind of the data set.
    output_dir : str
    settings : Settings
    workers : int

    Raises
    ------
    FileNotFoundError, InputError
        No such folder, no photo in it, or none that could be aligned.
    """
    input_dir, output_dir = os.path.expanduser(input_dir), os.path.expanduser(output_dir)
    if lies_within(output_dir, input_dir):
        raise InputError(
            f"--output-dir {output_dir} lies within --input-dir {input_dir}: the next run would "
            "take the aligned faces for photos"
        )
    print("input_dir ", input_dir)
    dataset = face_image.get_dataset(name, input_dir)
    print("dataset size", name, len(dataset))
    if not dataset:
        raise InputError(f"{input_dir}: no photo in the form of --name {name} (see --help)")
    print("Creating networks and loading parameters")
    for parameter in (SMALLEST_FACE, list(THRESHOLDS), PYRAMID_FACTOR):
        print(parameter)
    counters, skipped = align_dataset(dataset, output_dir, settings, workers, _print_progress)
    _print_summary(counters, skipped, len(dataset), output_dir)


def _print_progress(number, counters):
    if number % 100 == 0:
        print(f"Processing {number}, ({counters})", flush=True)


def _print_summary(counters, skipped, total, output_dir):
    """Counts to stdout, skipped photos to a file; InputError if no photo is left."""
    print(f"aligned {counters.sum()} of {total} photos")
    for count, way in zip(counters, WAYS, strict=True):
        print(f"{count:8d}  {way}")
    path = os.path.join(output_dir, "lst.skipped")
    with whole_file(path, "w", errors="surrogateescape") as file:
        for photo, reason in skipped:
            # A tab or line end within a name, for which photos are skipped, would end its field.
            name = photo.translate({9: "\\t", 10: "\\n", 13: "\\r"})
            file.write(f"{name}\t{reason}\n")
    if skipped:
        print(f"skipped {len(skipped)} of {total}: list in {path}")
    if not counters.sum():
        raise InputError(f"none of the {total} photos could be aligned: reasons in {path}")


def parse_arguments(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input-dir", required=True, help="folder of photos")
    parser.add_argument(
        "--name", required=True, choices=list(face_image.DATASETS), help="kind of the data set"
    )
    parser.add_argument("--output-dir", required=True, help="folder for faces and list")
    parser.add_argument(
        "--image-size", default="112,112", help="height,width of the faces (default: 112,112)"
    )
    parser.add_argument(
        "--num-workers",
        type=positive_int,
        default=os.cpu_count(),
        help="processes (default: one a core)",
    )
    parser.add_argument(
        "--face",
        default="first",
        choices=list(FACE_CHOICES),
        help="which of several faces: first, of the best score, as in 2018; or central, the "
        "largest near the middle, whose photo it is (default: first)",
    )
    parser.add_argument(
        "--keep-undetected",
        action="store_true",
        help="crop the known box, or the centre, of photos in which no face is found, which are "
        "else skipped",
    )
    parser.add_argument(
        "--det-model",
        default=None,
        metavar="DIR",
        help="folder with det1.npy, det2.npy, det3.npy (default: the package mtcnn's weights)",
    )
    return parser.parse_args(argv)


def main(args=None):
    """Runs the command; `args` may also be a 2018 Namespace with only the 2018 flags."""
    configure_logging()
    args = resolve_arguments(parse_arguments, args)
    if "num_workers" not in args:
        flags = ["--input-dir", args.input_dir, "--name", args.name]
        args = parse_arguments([*flags, "--output-dir", args.output_dir])
    image_size = parse_image_size(args.image_size)
    settings = Settings(image_size, args.keep_undetected, args.det_model, args.face)
    align(args.input_dir, args.name, args.output_dir, settings, args.num_workers)


if __name__ == "__main__":
    run_command(main)
