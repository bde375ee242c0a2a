"""Says what a data set holds, what is wrong with it and how to mend it; mends and unpacks it.

    python -m src.data.dataset_info train
    python -m src.data.dataset_info train --rebuild train_mended
    python -m src.data.dataset_info lfw.bin --unpack lfw_pictures

A folder is looked at as `train.rec`, `train.idx`, `property` and the verification sets `*.bin`; a
single .rec or .bin can be named, too. --rebuild writes a sound set (record 0, identity ranges,
index, property, labels 0, 1, …) of all whole images, whatever is wrong with the rest. --unpack
writes the pictures as files. The exit status is 1 where something is wrong.
"""

import argparse
import logging
import os

import numpy as np

from src.common.arguments import resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_image import write_property
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.verification_set import read_bin
from src.data.record_check import inspect, rebuild, unpack, write_picture

log = logging.getLogger(__name__)

WRONG_STATUS = 1


def find_sets(path):
    """(.rec or None, list of .bin) that a path names.

    Raises
    ------
    FileNotFoundError, InputError
        There is nothing of the kind.
    """
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        records = [name for name in names if name.endswith(".rec")]
        chosen = "train.rec" if "train.rec" in records else next(iter(records), None)
        bins = [os.path.join(path, name) for name in names if name.endswith(".bin")]
        if not chosen and not bins:
            raise InputError(f"{path}: neither a .rec nor a .bin in this folder")
        return chosen and os.path.join(path, chosen), bins
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.endswith(".rec"):
        return path, []
    if path.endswith(".bin"):
        return None, [path]
    raise InputError(f"{path}: expected a data set folder, a .rec or a .bin")


def tell_records(path_rec, inspection):
    """Prints what a .rec holds and what is wrong."""
    scan = inspection.scan
    counts = np.unique(scan.labels, return_counts=True)[1]
    print(f"{path_rec}: {inspection.kind}")
    print(f"  {len(scan.offsets)} images of {len(counts)} identities, {scan.ties} other records")
    if len(counts):
        print(
            f"  images of an identity: {counts.min()} to {counts.max()}, median "
            f"{np.median(counts):g}"
        )
    if inspection.image_size:
        print("  first image: {}×{}".format(*inspection.image_size))
    if inspection.said:
        print(
            "  property: {},{},{}".format(inspection.said.num_classes, *inspection.said.image_size)
        )
    for problem in inspection.problems:
        print(f"  WRONG: {problem.what}")
        if problem.remedy:
            print(f"    {problem.remedy}")


def tell_bin(path):
    """Prints what a verification set holds; True unless it is wrong."""
    try:
        _, issame = read_bin(path)
    except InputError as error:
        print(f"{path}: verification set\n  WRONG: {error}")
        return False
    print(f"{path}: verification set, {len(issame)} pairs, {sum(issame)} same")
    return True


def rebuild_into(path_rec, scan, folder):
    """Writes a sound set into `folder` and says what it holds."""
    path_new = os.path.join(folder, "train.rec")
    report = rebuild(path_rec, scan, path_new)
    write_property(os.path.join(folder, "property"), report.identities, report.image_size)
    print(
        f"{path_new}: {report.images} images + {report.identities} identities + 1 header"
        f"{', labels numbered anew' if report.new_labels else ''}"
    )
    if report.skipped or scan.damages:
        log.warning(
            "left out: %d images that cannot be decoded, %d damaged records",
            len(report.skipped), len(scan.damages),
        )  # fmt: skip


def unpack_bin(path, folder):
    """Writes the pictures of a verification set and `pairs.txt`, from which lfw2pack makes it."""
    images, issame = read_bin(path)
    names = []
    for number, content in enumerate(images):
        name = os.path.join("pictures", f"{number // 2 + 1:06d}_{number % 2 + 1}")
        written = write_picture(os.path.join(folder, name), content)
        names.append(os.path.relpath(written, folder))
    with whole_file(os.path.join(folder, "pairs.txt"), "w") as file:
        for first, second, same in zip(names[::2], names[1::2], issame, strict=True):
            file.write(f"{first}\t{second}\t{int(same)}\n")
    print(f"{folder}: {len(names)} pictures and pairs.txt of {len(issame)} pairs")


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", help="data set folder, .rec or .bin")
    parser.add_argument("--rebuild", metavar="DIR", default="", help="write a sound set there")
    parser.add_argument("--unpack", metavar="DIR", default="", help="write the pictures there")
    parser.add_argument("--decode", action="store_true", help="try to decode every image")
    return parser.parse_args(argv)


def main(args=None):
    """Runs the command; the exit status is 1 where something is wrong, 0 after --rebuild."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    path_rec, bins = find_sets(args.data)
    if args.rebuild and not path_rec:
        raise InputError(f"{args.data}: only records (.rec) can be rebuilt")
    sound = True
    if path_rec:
        inspection = inspect(path_rec, args.decode)
        tell_records(path_rec, inspection)
        sound = not inspection.problems
        if args.rebuild:
            rebuild_into(path_rec, inspection.scan, args.rebuild)
        if args.unpack:
            count = unpack(path_rec, inspection.scan, args.unpack)
            print(f"{args.unpack}: {count} pictures")
    for path in bins:
        sound = tell_bin(path) and sound
        if args.unpack and not path_rec:
            unpack_bin(path, args.unpack)
    return 0 if sound or args.rebuild else WRONG_STATUS


if __name__ == "__main__":
    run_command(main)
