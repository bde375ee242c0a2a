"""Writes the embeddings of FaceScrub's and MegaFace's photos as MegaFace's feature files.

    python -m src.megaface.gen_megaface --model models/y1/model,12 --algo y1 \
        --facescrub-lst facescrub_lst --facescrub-root facescrub_images \
        --megaface-lst megaface_lst --megaface-root megaface_images --output feature_out

The photos are aligned faces, and the lists have a path in each line, below the root. The features
are `feature_out/facescrub/person/photo.png_y1.bin` and
`feature_out/megaface/group/person/photo.jpg_y1.bin`: the embedding of the photo and that of its
mirror image, added, and divided by the length. Those of several models (`--model A,1|B,2`) are
joined. A photo that cannot be read is reported and has no feature. A stopped run continues.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import functools
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.preprocessing import normalize

from src.checkpoints.names import params_path
from src.common.arguments import (
    make_parser,
    parse_image_size,
    positive_int,
    resolve_arguments,
)
from src.common.devices import single_context
from src.common.errors import InputError, printable, run_command
from src.common.json_text import parse_json
from src.common.locks import only_process
from src.common.log import configure_logging, progress_bar
from src.common.output_files import whole_file
from src.common.photos import read_photo
from src.common.writable import check_output_folder
from src.deploy.embedder import FaceEmbedder
from src.formats.feature_files import write_feature
from src.megaface.features import FACESCRUB, MEGAFACE, ListedPhoto, listed_photos

log = logging.getLogger(__name__)

BATCHES_AT_A_TIME = 8
DECODING_THREADS = 2


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--batch_size", "--batch-size", type=positive_int, default=8, help="faces at once")
    add("--image_size", "--image-size", default="3,112,112", help="channels,height,width")
    add("--gpu", type=int, default=0, help="index of the GPU; -1: CPU")
    add("--algo", default="insightface", help="name of the model, which ends the files' names")
    add("--facescrub-lst", default="./data/facescrub_lst", help="empty: without FaceScrub")
    add("--megaface-lst", default="./data/megaface_lst", help="empty: without MegaFace")
    add("--facescrub-root", default="./data/facescrub_images", help="folder of the list's paths")
    add("--megaface-root", default="./data/megaface_images", help="folder of the list's paths")
    add("--output", default="./feature_out", help="folder for the features")
    add("--model", default="", help="prefix,epoch; several with | between them")
    args = parser.parse_args(argv)
    channels, comma, size = args.image_size.partition(",")
    if channels != "3" or not comma:
        parser.error(f"--image_size {args.image_size}: expected 3,height,width")
    args.size = parse_image_size(size)
    if not args.model:
        parser.error("--model is needed: prefix,epoch")
    if not args.algo or os.sep in args.algo:
        parser.error(f"--algo {args.algo!r}: expected a name for the ends of file names")
    return args


def claim_output(args: argparse.Namespace, embedders: Sequence[FaceEmbedder]) -> None:
    """Notes in the folder which models the features of `--algo` are of.

    Raises
    ------
    InputError
        They are those of other models.
    """
    path = os.path.join(args.output, f"{args.algo}.json")
    stats = [os.stat(params_path(each.prefix, each.epoch)) for each in embedders]
    models = [[args.image_size, stat.st_size, stat.st_mtime_ns] for stat in stats]
    if os.path.exists(path):
        with open(path, "rb") as file:
            found = parse_json(file.read())
        if found != models:
            raise InputError(
                f"{args.output} has features of another model for --algo {args.algo}: choose "
                f"another --algo or --output, or remove them and {path}"
            )
        return
    with whole_file(path, "w") as file:
        json.dump(models, file)


def read_face(root: str, size: tuple[int, int], photo: ListedPhoto) -> np.ndarray | str:
    """The face, uint8 (H, W, 3) RGB, or why there is none."""
    try:
        image = read_photo(os.path.join(root, photo.path))
    except (InputError, OSError) as error:
        return str(error)
    if image.shape[:2] != size:
        return f"{photo.path}: height and width {image.shape[:2]}, expected {size}"
    return image


def write_features(
    args: argparse.Namespace, embedders: Sequence[FaceEmbedder], kind: str, list_path: str
) -> None:
    """Writes the features that a list's photos do not have yet."""
    root = getattr(args, f"{kind}_root")
    paths = {
        photo: photo.feature_path(args.output, kind, args.algo)
        for photo in listed_photos(list_path, kind)
    }
    waiting = [photo for photo, path in paths.items() if not os.path.exists(path)]
    read = functools.partial(read_face, root, args.size)
    failed = 0
    size = args.batch_size * BATCHES_AT_A_TIME
    with (
        ThreadPoolExecutor(DECODING_THREADS) as pool,
        progress_bar(kind, "photo", len(paths)) as bar,
    ):
        bar.update(len(paths) - len(waiting))
        for begin in range(0, len(waiting), size):
            block = waiting[begin : begin + size]
            faces = dict(zip(block, pool.map(read, block), strict=True))
            found = {photo: face for photo, face in faces.items() if isinstance(face, np.ndarray)}
            for reason in (face for face in faces.values() if isinstance(face, str)):
                log.warning("read error: %s", printable(reason))
            failed += len(block) - len(found)
            if found:
                images = np.stack(list(found.values()))
                each = [embedder(images, flip=True) for embedder in embedders]
                features = normalize(np.concatenate(each, axis=1))
                for photo, feature in zip(found, features, strict=True):
                    os.makedirs(os.path.dirname(paths[photo]), exist_ok=True)
                    write_feature(paths[photo], feature)
            bar.update(len(block))
    if failed == len(paths):
        raise InputError(f"{list_path}: none of its {failed} photos in {root} has a feature")
    print(f"{kind}: {len(paths) - failed} of {len(paths)} photos have a feature")


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    check_output_folder(args.output, "--output")
    lists = {FACESCRUB: args.facescrub_lst, MEGAFACE: args.megaface_lst}
    lists = {kind: path for kind, path in lists.items() if path}
    for kind, path in lists.items():
        next(listed_photos(path, kind), None)  # before the work
    context = single_context(args.gpu)
    embedders = [
        FaceEmbedder(model, context, args.size, args.batch_size) for model in args.model.split("|")
    ]
    os.makedirs(args.output, exist_ok=True)
    with only_process(os.path.join(args.output, ".lock"), f"--output {args.output}"):
        claim_output(args, embedders)
        for kind, path in lists.items():
            write_features(args, embedders, kind, path)


if __name__ == "__main__":
    run_command(main)
