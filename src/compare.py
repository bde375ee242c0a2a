"""Compares the faces in two photos: do they show the same person?

    python -m src.compare first.jpg second.jpg --model models/y1/model,12 --results results.json

A face is found and aligned in each photo, as for training. Two faces count as one person if the
squared distance of their embeddings is below a threshold: `--threshold`, or the best one that
`python -m src.eval.verification --output results.json` has found for the model (`--results`), or
1.24, that of 2018's face_model. The exit status is 0 for the same person, 1 for different people,
and 2 if there is no answer.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.align.choices import FACE_CHOICES
from src.align.detector import MtcnnDetector
from src.common.arguments import (
    make_parser,
    natural_float,
    parse_image_size,
    positive_float,
    resolve_arguments,
)
from src.common.devices import single_context
from src.common.errors import InputError, run_command
from src.common.json_text import parse_json
from src.common.log import configure_logging
from src.common.photos import read_photo
from src.deploy.embedder import SMALLEST_FACE, FaceEmbedder, find_face

SAME, DIFFERENT = 0, 1
THRESHOLD_OF_2018 = 1.24


class Threshold(NamedTuple):
    """A squared distance, and where it comes from."""

    value: float
    origin: str


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("photos", nargs=2, metavar="PHOTO", help="any format that Pillow reads")
    add("--model", required=True, help="prefix,epoch, or prefix for the newest checkpoint")
    add("--image-size", default="112,112", help="height,width of the model's faces")
    add("--aligned", action="store_true", help="the pictures are aligned faces already")
    add("--face", choices=FACE_CHOICES, default="central", help="which of several faces")
    add("--min-size", type=positive_float, default=SMALLEST_FACE, help="smallest face, pixels")
    add("--flip", action="store_true", help="also use the mirrored faces, as in verification")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--threshold", type=natural_float, help="squared distance, 0 to 4")
    group.add_argument("--results", metavar="FILE", help="of verification: its best threshold")
    add("--target", default="", help="the set in --results; by default the first")
    add("--gpu", default=-1, type=int, help="index of the GPU; -1: CPU")
    return parser.parse_args(argv)


def best_threshold(path: str, target: str) -> Threshold:
    """The best threshold of a set in a file that verification has written.

    Parameters
    ----------
    target
        Name of the set; '' for the first.
    """
    try:
        with open(path, "rb") as file:
            targets = parse_json(file.read())["targets"]
        name = target or next(iter(targets))
        if name not in targets:
            raise InputError(f"{path} has no set {name}; it has {', '.join(targets)}")
        found = targets[name]
        value = float(found["best_threshold"])
        accuracy, pairs = float(found["best_threshold_accuracy"]), int(found["pairs"])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a file of python -m src.eval.verification --output"
        ) from None
    return Threshold(value, f"the best for {name} in {path}: {accuracy:.4f} of {pairs} pairs")


def threshold_of(args: argparse.Namespace) -> Threshold:
    """The threshold that the flags give."""
    if args.threshold is not None:
        return Threshold(args.threshold, "--threshold")
    if args.results:
        return best_threshold(args.results, args.target)
    return Threshold(THRESHOLD_OF_2018, "of 2018's face_model; --results gives your model's own")


def faces_of(args: argparse.Namespace, image_size: tuple[int, int]) -> np.ndarray:
    """The two faces, uint8 (2, H, W, 3) RGB; prints where they are."""
    images = [read_photo(path) for path in args.photos]
    if args.aligned:
        for path, image in zip(args.photos, images, strict=True):
            if image.shape[:2] != image_size:
                raise InputError(
                    f"{path}: height and width {image.shape[:2]}, expected {image_size} of an "
                    "aligned face; leave out --aligned"
                )
        return np.stack(images)
    detector = MtcnnDetector.create()
    faces = []
    for path, image in zip(args.photos, images, strict=True):
        choice = FACE_CHOICES[args.face]
        photo = find_face(image, detector, image_size, choice, args.min_size)
        if photo.face is None:
            raise InputError(f"{path}: {photo.reason or 'no face can be aligned'}")
        if photo.found is not None:
            box = " ".join(f"{number:.0f}" for number in photo.found.box)
            print(f"{path}: face at {box}, score {photo.found.score:.3f}")
        faces.append(photo.face)
    return np.stack(faces)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; returns SAME or DIFFERENT."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    threshold = threshold_of(args)
    image_size = parse_image_size(args.image_size)
    embedder = FaceEmbedder(args.model, single_context(args.gpu), image_size)
    first, second = embedder(faces_of(args, image_size), args.flip).astype(np.float64)
    distance, cosine = float(np.sum((first - second) ** 2)), float(first @ second)
    is_same = distance < threshold.value
    print(f"cosine {cosine:.4f}, squared distance {distance:.4f}")
    print(
        f"{'the same person' if is_same else 'different people'}: the squared distance is "
        f"{'below' if is_same else 'not below'} {threshold.value:g} ({threshold.origin})"
    )
    return SAME if is_same else DIFFERENT


if __name__ == "__main__":
    run_command(main)
