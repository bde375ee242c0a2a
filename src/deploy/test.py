"""2018's demonstration: embeddings of two photos, their distance and their cosine.

python -m src.deploy.test --model models/model-r34-amf/model,0 first.jpg second.jpg
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
from collections.abc import Sequence

import cv2
import numpy as np

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.photos import read_photo
from src.deploy.face_model import FaceModel


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and the photos."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="one or two; 2018: two of its own")
    add("--image-size", default="112,112", help="height,width of the model's faces")
    add("--model", default="", help="prefix,epoch of the model of embeddings")
    add("--ga-model", default="", help="prefix,epoch of the model of gender and age")
    add("--gpu", default=0, type=int, help="index of the GPU; -1: CPU")
    add("--det", default=0, type=int, help="0: look for faces; 1: the whole picture is a face")
    add("--flip", default=0, type=int, help="1: add the mirrored face's embedding")
    add("--threshold", default=1.24, type=float, help="squared distance of one person's faces")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    model = FaceModel(args)
    features = []
    for path in args.photos:
        aligned = model.get_input(cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2BGR))
        if aligned is None:
            raise InputError(f"{path}: no face of at least {model.det_minsize} pixels found")
        if args.model:
            features.append(model.get_feature(aligned))
            print(features[-1][:10])
        if args.ga_model:
            print(*model.get_ga(aligned))
    for other in features[1:]:
        print(np.sum(np.square(features[0] - other)))
        print(np.dot(features[0], other))


if __name__ == "__main__":
    run_command(main)
