"""Packs verification pairs into a .bin that training and verification read.

    python -m src.data.lfw2pack --data-dir lfw_aligned --output lfw.bin
    python -m src.data.lfw2pack --data-dir aligned --pairs pairsDevTest.txt --output dev.bin
    python -m src.data.lfw2pack --data-dir cfp-dataset/Data/Images --align \\
        --protocol cfp_fp --pairs cfp-dataset/Protocol --output cfp_fp.bin

Pictures are aligned faces, `<data-dir>/<person>/<person>_0001.jpg`, and are packed byte for byte; a
picture that is neither a JPEG nor a PNG becomes a PNG.
Pairs come from `<data-dir>/pairs.txt` or --pairs, any number of them, in LFW's format or as lines
`path1 <tab> path2 <tab> 1 or 0`. If a picture is missing or unreadable, its pairs are logged and
skipped. Verification takes its folds from consecutive pairs: if a fold would contain only one kind
of pair (LFW's View 1 lists all same pairs first), both kinds are spread evenly over the file. Run
the same command again to resume a stopped run.

Other protocols are read from their own files (--protocol, --pairs): CFP's folder Protocol, AgeDB's
04_FINAL_protocol_30_years.mat, and the pairs files of CALFW and CPLFW. Their pictures are photos:
--align finds and aligns the face in each of them.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from src.align.choices import FACE_CHOICES
from src.common.arguments import make_parser, parse_image_size, positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging, progress
from src.common.photos import decode_stored, in_stored_format, read_content
from src.common.writable import check_output_file
from src.data.aligned_photos import AlignedPhotos
from src.data.checked_pictures import CheckedPictures
from src.data.pairs import (
    Pair,
    PictureKey,
    find_picture,
    has_mixed_folds,
    mix_evenly,
    picture_name,
)
from src.data.person_folders import printable, printable_list
from src.data.protocols import CFP_FF, CFP_FP, LFW, PROTOCOLS, read_protocol
from src.formats.verification_set import write_bin

log = logging.getLogger(__name__)

USUAL_SIZE = (112, 112)


class Picture(NamedTuple):
    """The bytes of an encoded picture, and its size (height, width)."""

    content: bytes
    size: tuple[int, int]


def load_pictures(
    pairs: Sequence[Pair],
    find: Callable[[PictureKey], str | None],
    checked: CheckedPictures,
    read: Callable[[str], bytes] | None = None,
) -> tuple[list[Pair], dict[PictureKey, Picture]]:
    """(complete pairs, their pictures); each pair that is skipped is logged.

    Parameters
    ----------
    find
        Returns the path of a picture, or None.
    checked
        Pictures that need not be decoded again.
    read
        Makes an encoded picture from a file; None: the file's own bytes.
    """
    loaded: dict[PictureKey, Picture] = {}
    reasons: dict[PictureKey, str] = {}
    for picture in progress(sorted({p for pair in pairs for p in pair.pictures}, key=str), "read"):
        path = find(picture)
        if path is None:
            reasons[picture] = f"{picture_name(picture)} is missing"
            continue
        try:
            content = read(path) if read else in_stored_format(read_content(path), path)
            size = (None if read else checked.size(path)) or _decoded_size(content)
        except (InputError, OSError):
            size = None
        if size is None:
            reasons[picture] = f"{path} cannot be decoded"
        else:
            if not read:
                checked.add(path, size)
            loaded[picture] = Picture(content, size)
    complete = []
    for pair in pairs:
        lost = [reasons[picture] for picture in pair.pictures if picture in reasons]
        if lost:
            log.warning("line %d: pair skipped: %s", pair.line, printable("; ".join(lost)))
        else:
            complete.append(pair)
    return complete, loaded


def _decoded_size(content: bytes) -> tuple[int, int] | None:
    """(height, width) of an encoded picture; None if it cannot be decoded."""
    pixels = decode_stored(content)
    return None if pixels is None else (pixels.shape[0], pixels.shape[1])


def order_for_folds(pairs: Sequence[Pair], folds: int) -> Sequence[Pair]:
    """The pairs in their order if each fold contains both kinds, else with both spread evenly."""
    issame = [pair.same for pair in pairs]
    if has_mixed_folds(issame, folds):
        return pairs
    mixed = [pairs[place] for place in mix_evenly(issame)]
    if not has_mixed_folds([pair.same for pair in mixed], folds):
        log.warning(
            "%d same and %d different pairs are too few for %d folds: verify with fewer (--nfolds)",
            sum(issame),
            len(issame) - sum(issame),
            folds,
        )
    print(f"a fold would contain only one kind of pair: pairs are mixed evenly for {folds} folds")
    return mixed


def warn_about_sizes(loaded: Mapping[PictureKey, Picture], image_size: Sequence[int]) -> None:
    """Logs pictures whose size is neither the usual one nor --image-size."""
    odd = [
        f"{picture_name(picture)} ({size[0]}×{size[1]})"
        for picture, (_, size) in loaded.items()
        if size not in (USUAL_SIZE, tuple(image_size))
    ]
    if odd:
        log.warning(
            "%d of %d pictures are neither 112×112 nor %d×%d; are they aligned? %s",
            len(odd),
            len(loaded),
            *image_size,
            printable_list(odd),
        )


def pack_pairs(
    data_dir: str,
    pairs_path: str,
    output: str,
    image_size: Sequence[int],
    folds: int,
    protocol: str = LFW,
    aligned: AlignedPhotos | None = None,
) -> None:
    """Writes the verification set.

    Parameters
    ----------
    image_size
        Height, width, for a warning. 2018: the pictures are packed unchanged, whatever their size.
    folds
        Number of folds that verification will use.
    protocol
        A key of `PROTOCOLS`.
    aligned
        Aligns the pictures, which are photos.

    Raises
    ------
    InputError
        The pairs file is malformed, or one kind of pair has no complete one.
    """
    with CheckedPictures(output) as checked:
        pairs = read_protocol(protocol, pairs_path)
        complete, loaded = load_pictures(
            pairs, lambda picture: find_picture(data_dir, picture), checked, aligned
        )
        for way, count in sorted(aligned.ways.items() if aligned else ()):
            print(f"{count} photos: {way}")
        if len({pair.same for pair in complete}) < 2:
            raise InputError(
                f"{pairs_path}: {len(complete)} of {len(pairs)} pairs have both pictures in "
                f"--data-dir {data_dir}, but one same and one different pair are needed; the first "
                f"picture expected there is {picture_name(pairs[0].pictures[0])}"
            )
        warn_about_sizes(loaded, image_size)
        ordered = order_for_folds(complete, folds)
        images = (loaded[picture].content for pair in ordered for picture in pair.pictures)
        issame = [pair.same for pair in ordered]
        write_bin(output, images, issame)
        if len(complete) < len(pairs):
            print(f"Skipped {len(pairs) - len(complete)} image pairs")
        same = sum(issame)
        print(f"{output}: {len(issame)} pairs, {same} same, {len(issame) - same} different")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults, and a few more."""
    parser = make_parser(__doc__)
    parser.add_argument("--data-dir", default="", help="folder of aligned faces")
    parser.add_argument(
        "--image-size", default="112,96", help="height,width; only used to warn of other sizes"
    )
    parser.add_argument("--output", default="", help=".bin file to write")
    parser.add_argument("--pairs", default="", help="pairs file; empty: pairs.txt in --data-dir")
    parser.add_argument(
        "--nfolds", type=positive_int, default=10, help="number of folds in verification"
    )
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default=LFW, help="what --pairs is; lfw: a pairs file"
    )
    parser.add_argument(
        "--align",
        nargs="?",
        const="112,112",
        default="",
        metavar="HEIGHT,WIDTH",
        help="the pictures are photos: find and align a face in each (size without a value: "
        "112,112)",
    )
    parser.add_argument(
        "--face", choices=FACE_CHOICES, default="central", help="which of several faces [--align]"
    )
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    if not args.output:
        raise InputError("--output is missing: name the .bin to write, e.g. lfw.bin")
    check_output_file(args.output, "--output")
    if not os.path.isdir(args.data_dir):
        raise FileNotFoundError(
            f"--data-dir {args.data_dir}: no such folder; name the folder of aligned faces"
        )
    pairs = args.pairs or os.path.join(args.data_dir, "pairs.txt")
    # 2018: a Namespace had none of the new flags
    protocol, align = getattr(args, "protocol", LFW), getattr(args, "align", "")
    if not (os.path.exists if protocol in (CFP_FF, CFP_FP) else os.path.isfile)(pairs):
        raise FileNotFoundError(f"{pairs}: no such pairs file; name another one with --pairs")
    size = parse_image_size(align or args.image_size)
    aligned = AlignedPhotos(size, args.face) if align else None
    pack_pairs(args.data_dir, pairs, args.output, size, args.nfolds, protocol, aligned)


if __name__ == "__main__":
    run_command(main)
