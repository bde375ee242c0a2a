"""Packs verification pairs into a .bin that training and verification read.

    python -m src.data.lfw2pack --data-dir lfw_aligned --output lfw.bin
    python -m src.data.lfw2pack --data-dir aligned --pairs pairsDevTest.txt --output dev.bin

Pictures are aligned faces, `<data-dir>/<person>/<person>_0001.jpg`, and pass through byte for byte.
Pairs come from `<data-dir>/pairs.txt` or --pairs, in LFW's form or as lines
`path1 <tab> path2 <tab> 1 or 0`, any number of them. A pair whose picture is missing or unreadable
is named and left out. Where a tenth of the pairs would hold only one kind (LFW's View 1 lists all
same pairs first), both kinds are spread evenly over the file, because verification takes its folds
from consecutive pairs.
"""

import argparse
import logging
import os
from typing import NamedTuple

from src.common.arguments import positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_preprocess import parse_image_size
from src.common.log import configure_logging, progress
from src.common.photos import decode_stored
from src.common.verification_set import write_bin
from src.data.pairs import find_picture, has_mixed_folds, mix_evenly, picture_name, read_pairs
from src.data.person_folders import name_some, printable

log = logging.getLogger(__name__)

USUAL_SIZE = (112, 112)


class Picture(NamedTuple):
    """An encoded picture: its bytes `content`, and `size`, height and width."""

    content: bytes
    size: tuple


def load_pictures(pairs, find):
    """(good pairs, {picture of a pair: `Picture`}); each pair that is left out is warned of.

    Parameters
    ----------
    pairs : list of Pair
    find : callable
        From a picture of a pair to its path, or None.
    """
    loaded, reasons = {}, {}
    for picture in progress(sorted({p for pair in pairs for p in pair.pictures}, key=str), "read"):
        path = find(picture)
        if path is None:
            reasons[picture] = f"{picture_name(picture)} is missing"
            continue
        with open(path, "rb") as file:
            content = file.read()
        pixels = decode_stored(content)
        if pixels is None:
            reasons[picture] = f"{path} is no readable picture"
        else:
            loaded[picture] = Picture(content, pixels.shape[:2])
    good = []
    for pair in pairs:
        lost = [reasons[picture] for picture in pair.pictures if picture in reasons]
        if lost:
            log.warning("line %d: pair left out: %s", pair.line, printable("; ".join(lost)))
        else:
            good.append(pair)
    return good, loaded


def order_for_folds(pairs, folds):
    """The pairs in their order if each fold holds both kinds, else with both spread evenly."""
    issame = [pair.same for pair in pairs]
    if has_mixed_folds(issame, folds):
        return pairs
    mixed = [pairs[place] for place in mix_evenly(issame)]
    if not has_mixed_folds([pair.same for pair in mixed], folds):
        log.warning(
            "%d same and %d different pairs are too few for %d folds: verify with fewer (--nfolds)",
            sum(issame), len(issame) - sum(issame), folds,
        )  # fmt: skip
    print(f"same and different pairs stand apart in the file: mixed evenly for {folds} folds")
    return mixed


def warn_of_sizes(loaded, image_size):
    """Warns of pictures that are neither of the usual size nor of --image-size."""
    odd = [
        f"{picture_name(picture)} ({size[0]}×{size[1]})"
        for picture, (_, size) in loaded.items()
        if size not in (USUAL_SIZE, tuple(image_size))
    ]
    if odd:
        log.warning(
            "%d of %d pictures are neither 112×112 nor %d×%d; are they aligned? %s",
            len(odd), len(loaded), *image_size, name_some(odd),
        )  # fmt: skip


def pack_pairs(data_dir, pairs_path, output, image_size, folds):
    """Writes the verification set.

    Parameters
    ----------
    data_dir, pairs_path, output : str
    image_size : (int, int)
        Height, width. 2018: the pictures pass through whatever it says.
    folds : int
        That verification will take.

    Raises
    ------
    InputError
        The pairs file is wrong, or no pair of either kind is left.
    """
    pairs = read_pairs(pairs_path)
    good, loaded = load_pictures(pairs, lambda picture: find_picture(data_dir, picture))
    if len({pair.same for pair in good}) < 2:
        raise InputError(
            f"{pairs_path}: of {len(pairs)} pairs, {len(good)} have both pictures in {data_dir}, "
            f"too few; the first one looked for: {picture_name(pairs[0].pictures[0])}"
        )
    warn_of_sizes(loaded, image_size)
    ordered = order_for_folds(good, folds)
    images = (loaded[picture].content for pair in ordered for picture in pair.pictures)
    issame = [pair.same for pair in ordered]
    write_bin(output, images, issame)
    if len(good) < len(pairs):
        print(f"Skipped {len(pairs) - len(good)} image pairs")
    same = sum(issame)
    print(f"{output}: {len(issame)} pairs, {same} same, {len(issame) - same} different")


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default="", help="folder of aligned faces")
    parser.add_argument("--image-size", default="112,96", help="height,width (only checked)")
    parser.add_argument("--output", default="", help="the .bin to write")
    parser.add_argument("--pairs", default="", help="pairs file (default: DATA_DIR/pairs.txt)")
    parser.add_argument(
        "--nfolds", type=positive_int, default=10, help="of verification (default: %(default)s)"
    )
    return parser.parse_args(argv)


def main(args=None):
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    if not args.output:
        raise InputError("--output: name the .bin to write, e.g. lfw.bin")
    if not os.path.isdir(args.data_dir):
        raise FileNotFoundError(f"--data-dir {args.data_dir}: no such folder of aligned faces")
    pairs = args.pairs or os.path.join(args.data_dir, "pairs.txt")
    if not os.path.isfile(pairs):
        raise FileNotFoundError(f"{pairs}: no such pairs file (--pairs names another)")
    pack_pairs(args.data_dir, pairs, args.output, parse_image_size(args.image_size), args.nfolds)


if __name__ == "__main__":
    run_command(main)
