"""Prints what a data set contains, what is wrong with it and how to fix it; repairs and unpacks it.

    python -m src.data.dataset_info train
    python -m src.data.dataset_info train --rebuild train_repaired
    python -m src.data.dataset_info lfw.bin --unpack lfw_images

DATA is a folder with `train.rec`, `train.idx`, `property` and verification sets `*.bin`, or a
single .rec or .bin. --rebuild writes a valid data set (record 0, identity ranges, index, property,
labels 0, 1, …) from all intact images, whatever else is damaged. --unpack writes the images as
files. The exit status is 1 if there is a problem and no --rebuild.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import contextlib
import logging
import os
from collections.abc import Sequence

import numpy as np

from src.common.arguments import make_parser, resolve_arguments
from src.common.encoded_image import is_stored_format
from src.common.errors import InputError, listed, run_command
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.writable import check_output_folder
from src.data.image_records import RecordScan
from src.data.pairs import write_pairs
from src.data.record_check import Inspection, inspect, rebuild
from src.data.unpacking import unpack, write_image
from src.formats.property import write_property
from src.formats.verification_set import read_bin

log = logging.getLogger(__name__)

PROBLEM_STATUS = 1


def find_sets(path: str) -> tuple[str | None, list[str]]:
    """(the .rec or None, list of .bin) at a path, which is a folder or one of these files.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such path, or neither a .rec nor a .bin.
    """
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        records = [name for name in names if name.endswith(".rec")]
        chosen = "train.rec" if "train.rec" in records else next(iter(records), None)
        bins = [os.path.join(path, name) for name in names if name.endswith(".bin")]
        if not chosen and not bins:
            raise InputError(f"{path}: this folder contains neither a .rec nor a .bin")
        return chosen and os.path.join(path, chosen), bins
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.endswith(".rec"):
        return path, []
    if path.endswith(".bin"):
        return None, [path]
    raise InputError(f"{path}: expected a data set folder, a .rec or a .bin")


def print_inspection(path_rec: str, inspection: Inspection) -> None:
    """Prints what a .rec contains and what is wrong with it."""
    scan = inspection.scan
    counts = np.unique(scan.labels, return_counts=True)[1]
    print(f"{path_rec}: {inspection.kind}")
    print(
        f"  {len(scan.offsets)} images of {len(counts)} identities, "
        f"{scan.other_records} other records"
    )
    if len(counts):
        print(
            f"  images per identity: {counts.min()} to {counts.max()}, median {np.median(counts):g}"
        )
    if inspection.image_size:
        print("  first image: {}×{}".format(*inspection.image_size))
    if inspection.declared:
        declared = inspection.declared
        print("  property: {},{},{}".format(declared.num_classes, *declared.image_size))
    for problem in inspection.problems:
        print(f"  PROBLEM: {problem.what}")
        if problem.remedy:
            print(f"    {problem.remedy}")


def print_bin(path: str) -> bool:
    """Prints what a verification set contains; returns whether it can be read."""
    try:
        images, issame = read_bin(path)
    except InputError as error:
        print(f"{path}: verification set\n  PROBLEM: {error}")
        return False
    print(f"{path}: verification set, {len(issame)} pairs, {sum(issame)} same")
    bad = [number for number, image in enumerate(images) if not is_stored_format(image)]
    if bad:
        print(f"  PROBLEM: {len(bad)} images are neither JPEG nor PNG: {listed(bad)}")
    return not bad


def rebuild_into(path_rec: str, scan: RecordScan, folder: str) -> None:
    """Writes a valid data set into `folder` and prints what it contains."""
    path_new = os.path.join(folder, "train.rec")
    report = rebuild(path_rec, scan, path_new)
    write_property(os.path.join(folder, "property"), report.identities, report.image_size)
    print(
        f"{path_new}: {report.images} images + {report.identities} identities + 1 header"
        f"{', labels renumbered' if report.new_labels else ''}"
    )
    if report.skipped or scan.damages:
        log.warning(
            "skipped: %d images that cannot be decoded, %d damaged records",
            len(report.skipped),
            len(scan.damages),
        )


def unpack_bin(path: str, folder: str) -> None:
    """Writes the images of a verification set and the `pairs.txt` that lfw2pack packs them from."""
    images, issame = read_bin(path)
    names = []
    for number, content in enumerate(images):
        name = os.path.join("pictures", f"{number // 2 + 1:06d}_{number % 2 + 1}")
        written = write_image(os.path.join(folder, name), content)
        names.append(os.path.relpath(written, folder))
    pairs = zip(names[::2], names[1::2], issame, strict=True)
    write_pairs(os.path.join(folder, "pairs.txt"), pairs)
    print(f"{folder}: {len(names)} images, and pairs.txt with {len(issame)} pairs")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("data", metavar="DATA", nargs="?", help="data set folder, .rec or .bin")
    parser.add_argument("--input", default="", metavar="DATA", help="the same, as in 2018")
    parser.add_argument(
        "--rebuild", metavar="DIR", default="", help="folder for a repaired copy of the data set"
    )
    parser.add_argument("--unpack", metavar="DIR", default="", help="folder for the images")
    parser.add_argument("--decode", action="store_true", help="check that every image decodes")
    args = parser.parse_args(argv)
    args.data = args.data or args.input
    if not args.data:
        parser.error("DATA is missing: a data set folder, .rec or .bin")
    return args


def main(args: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; returns 1 if there is a problem and no --rebuild, otherwise 0."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    path_rec, bins = find_sets(args.data)
    if args.rebuild and not path_rec:
        raise InputError(f"--rebuild: {args.data} has no records (.rec); a .bin cannot be rebuilt")
    outputs = [(args.rebuild, "--rebuild"), (args.unpack, "--unpack")]
    with contextlib.ExitStack() as locks:
        for folder, flag in outputs:
            if folder:
                check_output_folder(folder, flag)
                locks.enter_context(only_writer(folder, flag))
        return _report_and_write(args, path_rec, bins)


def _report_and_write(args: argparse.Namespace, path_rec: str | None, bins: Sequence[str]) -> int:
    """What `main` returns."""
    valid = True
    if path_rec:
        inspection = inspect(path_rec, args.decode)
        print_inspection(path_rec, inspection)
        valid = not inspection.problems
        if args.rebuild:
            rebuild_into(path_rec, inspection.scan, args.rebuild)
        if args.unpack:
            count = unpack(path_rec, inspection.scan, args.unpack)
            print(f"{args.unpack}: {count} images")
    for path in bins:
        valid = print_bin(path) and valid
        if args.unpack and not path_rec:
            unpack_bin(path, args.unpack)
    return 0 if valid or args.rebuild else PROBLEM_STATUS


if __name__ == "__main__":
    run_command(main)
