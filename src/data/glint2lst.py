"""Writes the list that face2rec2 packs, and the `property` file next to it.

    python -m src.data.glint2lst aligned/photos --output train/train.lst

lists aligned faces in a folder tree, `aligned/photos/<person>/<photo>`, as lines
`1 <tab> path <tab> label`, with labels 0, 1, … in the order of the folder names. As in 2018,

    python -u glint2lst.py DIR TARGETS > train.lst

takes targets separated by commas. If there is a landmark file `DIR/<target>_lmk` or
`DIR/<target>_lmk.txt` (lines `photo label x1 y1 … x5 y5`, or without the label), its photos are
listed with their landmarks, and face2rec2 aligns them. Otherwise the tree `DIR/<target>` is listed.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from src.common.arguments import make_parser, parse_image_size, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.photos import DECODE_ERRORS
from src.common.shards import WHOLE, Shard
from src.common.text_files import read_lines
from src.common.writable import check_output_file
from src.data.person_folders import printable_list, read_person_folders
from src.formats.lists import format_aligned_line, format_unaligned_line
from src.formats.photo_sets import OWN_FILES
from src.formats.property import write_property

log = logging.getLogger(__name__)

# face2rec2 converts those that MXNet does not decode, or says why it cannot.
IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp"),
    *(".tif", ".tiff", ".gif", ".jp2", ".heic", ".avif"),
)
UNKNOWN_LABEL = -1  # 2018: for a landmark file without labels (test photos)


def find_landmark_file(input_dir: str, target: str) -> str | None:
    """Path of a target's landmark file, or None."""
    for ending in ("_lmk", "_lmk.txt"):
        path = os.path.join(input_dir, target + ending)
        if os.path.isfile(path):
            return path
    return None


def parse_landmark_line(line: str) -> tuple[str, int | None, np.ndarray]:
    """(photo, label or None, float32 landmark (5, 2)) of a line `photo [label] x1 y1 … x5 y5`.

    Raises
    ------
    ValueError
        The number of fields is wrong, or a field is not a finite number.
    """
    fields = line.split()
    if len(fields) not in (11, 12):
        raise ValueError(
            f"expected `photo label 10 numbers` or `photo 10 numbers` between spaces, got "
            f"{len(fields)} fields"
        )
    label = int(fields[1]) if len(fields) == 12 else None
    landmark = np.array([float(field) for field in fields[-10:]], np.float32)
    if not np.isfinite(landmark).all():
        raise ValueError("a coordinate is not a finite number")
    return fields[0], label, landmark.reshape(5, 2)


def list_landmark_file(path: str, input_dir: str, labels: dict[int, int]) -> list[str]:
    """List lines of the photos in a landmark file, as photos that still have to be aligned.

    Parameters
    ----------
    input_dir
        Photos in the file are relative to it.
    labels
        From label in the file to label in the list, 0, 1, … in order of appearance; new ones are
        added. 2018: one dict for all targets, so a number is the same person in each of them.

    Raises
    ------
    InputError
        A line is malformed (the message gives file and line), or the file is empty.
    """
    lines = []
    for number, line in read_lines(path, "surrogateescape"):
        if not line.strip():
            continue
        try:
            photo, label, landmark = parse_landmark_line(line)
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
        new_label = UNKNOWN_LABEL if label is None else labels.setdefault(label, len(labels))
        # 2018: no box, and the shortest decimals that give the same float32.
        lines.append(
            format_unaligned_line(
                os.path.join(input_dir, photo), new_label, (0, 0, 0, 0), landmark, spell=str
            )
        )
    if not lines:
        raise InputError(f"{path}: the landmark file is empty")
    return lines


def list_folder_tree(
    root: str, first_label: int, image_size: Sequence[int]
) -> tuple[list[str], int]:
    """(list lines, number of labels) of aligned faces `root/<person>/<photo>`.

    Person folders without an image get no label and are logged.

    Parameters
    ----------
    image_size
        Height, width of an aligned face. If a person's first image has another size, it is logged.
    """
    folders, strays = read_person_folders(root)
    strays = [name for name in strays if name not in OWN_FILES]
    lines, empty, wrong_size = [], [], []
    label = first_label
    for folder in folders:
        images = [name for name in folder.files if name.lower().endswith(IMAGE_EXTENSIONS)]
        strays += [name for name in folder.files if not name.lower().endswith(IMAGE_EXTENSIONS)]
        if not images:
            empty.append(folder.name)
            continue
        lines += [format_aligned_line(os.path.join(root, name), label) for name in images]
        if not _has_size(os.path.join(root, images[0]), image_size):
            wrong_size.append(images[0])
        label += 1
    if strays:
        log.warning(
            "%d files in %s are not images and are skipped: %s",
            len(strays),
            root,
            printable_list(strays),
        )
    if empty:
        log.warning("%d person folders contain no image: %s", len(empty), printable_list(empty))
    if wrong_size:
        log.warning(
            "the first image of %d of %d people is not %d×%d pixels; align the photos first "
            "(python -m src.align.align_megaface): %s",
            len(wrong_size),
            label - first_label,
            *image_size,
            printable_list(wrong_size),
        )
    if not lines:
        raise InputError(f"{root}: no image in {len(folders)} person folders")
    return lines, label - first_label


def _has_size(path: str, image_size: Sequence[int]) -> bool:
    """Whether the header of an image gives this (height, width).

    Also True if the image cannot be read, because face2rec2 reports that.
    """
    try:
        with Image.open(path) as image:
            return (image.height, image.width) == tuple(image_size)
    except DECODE_ERRORS:
        return True


def make_list(
    input_dir: str, targets: Sequence[str], image_size: Sequence[int]
) -> tuple[list[str], int]:
    """(list lines, number of classes) of all targets; labels are 0 … classes − 1.

    Parameters
    ----------
    targets
        If empty, `input_dir` itself is the folder tree.
    image_size
        Height, width.

    Raises
    ------
    FileNotFoundError, InputError
        A target is neither a landmark file nor a folder, or it is empty.
    """
    if not targets:
        return list_folder_tree(input_dir, 0, image_size)
    lines: list[str] = []
    labels: dict[int, int] = {}
    classes = 0
    landmark_files = {target: find_landmark_file(input_dir, target) for target in targets}
    if any(landmark_files.values()) and not all(landmark_files.values()):
        without = [target for target, path in landmark_files.items() if not path]
        raise InputError(
            f"{input_dir}: no {without[0]}_lmk or {without[0]}_lmk.txt, while other targets have "
            "one; list aligned folders and landmark files separately"
        )
    for target, path in landmark_files.items():
        if path:
            lines += list_landmark_file(path, input_dir, labels)
            continue
        root = os.path.join(input_dir, target)
        if not os.path.isdir(root):
            raise FileNotFoundError(
                f"{root}: no such folder, nor a landmark file {root}_lmk or {root}_lmk.txt"
            )
        tree_lines, count = list_folder_tree(root, classes, image_size)
        lines += tree_lines
        classes += count
    return lines, classes or len(labels)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("input_dir", metavar="INPUT_DIR", help="folder of the data set")
    parser.add_argument(
        "targets",
        metavar="TARGETS",
        nargs="?",
        default="",
        help="names separated by commas; without them, INPUT_DIR itself is listed",
    )
    parser.add_argument(
        "--output",
        default="",
        help="list file, with a property file next to it; empty: print the list to stdout",
    )
    parser.add_argument("--image-size", default="112,112", help="height,width for property")
    parser.add_argument(
        "--shard",
        type=Shard.parse,
        default=WHOLE,
        metavar="I/N",
        help="write only part I (from 0) of N; python -m src.align.merge_shards puts all together",
    )
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    targets = [target.strip() for target in args.targets.split(",") if target.strip()]
    image_size = parse_image_size(args.image_size)
    if args.output:
        check_output_file(args.output, "--output")
    lines, classes = make_list(args.input_dir, targets, image_size)
    shard = getattr(args, "shard", WHOLE)
    lines = [lines[place] for place in shard.places(len(lines))]
    text = "".join(line + "\n" for line in lines)
    summary = f"{len(lines)} photos of {classes} people"
    property_line = f"{classes},{image_size[0]},{image_size[1]}"
    if not args.output:
        # As bytes: the encoding of names may differ from the terminal's.
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
        log.info("%s; property, which only --output writes: %s", summary, property_line)
        return
    output = args.output + shard.suffix
    with whole_file(output, "w", errors="surrogateescape") as file:
        file.write(text)
    print(f"{output}: {summary}")
    if classes:
        path = os.path.join(os.path.dirname(args.output), "property")
        write_property(path, classes, image_size)
        print(f"{path}: {property_line}")


if __name__ == "__main__":
    run_command(main)
