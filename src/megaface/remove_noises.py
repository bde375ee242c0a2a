"""Marks the wrong photos of FaceScrub and MegaFace in their feature files, as in 2018.

    python -m src.megaface.remove_noises --algo y1 --feature-dir-input feature_out \
        --feature-dir-out feature_out_clean --facescrub-lst facescrub_lst \
        --megaface-lst megaface_lst --facescrub-noises facescrub_noises.txt \
        --megaface-noises megaface_noises.txt

Each feature gets one more number, 0. A photo in FaceScrub's list of noise gets the sum of its
person's other features, with a little noise, divided by its length; one in MegaFace's list gets
100 as the number, so that it is far from every other. A photo without a feature, or a wrong one
whose person has no other, gets none.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import logging
import os
from collections.abc import Callable, Sequence

import numpy as np

from src.common.arguments import add_seed_argument, make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.locks import only_process
from src.common.log import configure_logging
from src.common.output_files import lies_within
from src.common.text_files import read_lines
from src.common.writable import check_output_folder
from src.formats.feature_files import read_feature, write_feature
from src.megaface.features import FACESCRUB, MEGAFACE, ListedPhoto, listed_photos

log = logging.getLogger(__name__)

FAR_AWAY = 100.0  # the last number of a wrong photo of MegaFace
JITTER = 0.001  # of each number of a wrong photo of FaceScrub


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and `--seed`."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--facescrub-noises", default="./data/facescrub_noises.txt", help="photos' file names")
    add("--megaface-noises", default="./data/megaface_noises.txt", help="group/person/photo")
    add("--algo", default="insightface", help="as for gen_megaface")
    add("--facescrub-lst", default="./data/facescrub_lst", help="empty: without FaceScrub")
    add("--megaface-lst", default="./data/megaface_lst", help="empty: without MegaFace")
    add("--feature-dir-input", default="./feature_out", help="folder that gen_megaface wrote")
    add("--feature-dir-out", default="./feature_out_clean", help="folder for the new features")
    add_seed_argument(parser)
    return parser.parse_args(argv)


def noise_names(path: str) -> set[str]:
    """The photos in a list of noise: the second column if there are several; # is a comment."""
    names = set()
    for _, line in read_lines(path, "surrogateescape"):
        if line.strip() and not line.startswith("#"):
            columns = line.strip().split("\t")
            names.add(columns[1] if len(columns) > 1 else columns[0])
    return names


def feature_of(args: argparse.Namespace, kind: str, photo: ListedPhoto) -> np.ndarray | None:
    """The photo's feature; None if it has none, because it cannot be read."""
    try:
        return read_feature(photo.feature_path(args.feature_dir_input, kind, args.algo))
    except FileNotFoundError:
        return None


def writer(args: argparse.Namespace, kind: str) -> Callable[[ListedPhoto, np.ndarray, float], None]:
    """A function that writes a photo's feature with one more number."""

    def write(photo: ListedPhoto, feature: np.ndarray, last: float) -> None:
        path = photo.feature_path(args.feature_dir_out, kind, args.algo)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_feature(path, np.append(feature, np.float32(last)))

    return write


def clean_facescrub(args: argparse.Namespace) -> None:
    """Replaces the features of wrong photos by those of their person."""
    noises, write = noise_names(args.facescrub_noises), writer(args, FACESCRUB)
    sums: dict[str, np.ndarray] = {}
    wrong, missing = [], 0
    for photo in listed_photos(args.facescrub_lst, FACESCRUB):
        person, name = photo.parts
        if name in noises:
            wrong.append(photo)
            continue
        feature = feature_of(args, FACESCRUB, photo)
        if feature is None:
            missing += 1
            continue
        write(photo, feature, 0)
        sums[person] = sums.get(person, 0) + feature
    random = np.random.RandomState(args.seed)
    for photo in wrong:
        person, _ = photo.parts
        if person not in sums:
            missing += 1
            continue
        moved = sums[person] + random.uniform(-JITTER, JITTER, len(sums[person]))
        write(photo, moved / np.linalg.norm(moved), 0)
    report(FACESCRUB, len(wrong), missing)


def clean_megaface(args: argparse.Namespace) -> None:
    """Moves the features of wrong photos away."""
    noises, write = noise_names(args.megaface_noises), writer(args, MEGAFACE)
    wrong = missing = 0
    for photo in listed_photos(args.megaface_lst, MEGAFACE):
        feature = feature_of(args, MEGAFACE, photo)
        if feature is None:
            missing += 1
            continue
        is_wrong = photo.name in noises
        write(photo, feature, FAR_AWAY if is_wrong else 0)
        wrong += is_wrong
    report(MEGAFACE, wrong, missing)


def report(kind: str, wrong: int, missing: int) -> None:
    """Prints what was done."""
    print(f"{kind}: {wrong} wrong photos")
    if missing:
        log.warning("%s: %d photos have no feature", kind, missing)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    check_output_folder(args.feature_dir_out, "--feature-dir-out")
    if lies_within(args.feature_dir_out, args.feature_dir_input):
        raise InputError(
            f"--feature-dir-out {args.feature_dir_out}: features would be replaced: choose a "
            "folder outside of --feature-dir-input"
        )
    os.makedirs(args.feature_dir_out, exist_ok=True)
    lock = os.path.join(args.feature_dir_out, ".lock")
    with only_process(lock, f"--feature-dir-out {args.feature_dir_out}"):
        if args.facescrub_lst:
            clean_facescrub(args)
        if args.megaface_lst:
            clean_megaface(args)


if __name__ == "__main__":
    run_command(main)
