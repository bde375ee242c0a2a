"""Writes the list that face2rec2 packs, and the `property` file beside it.

    python -m src.data.glint2lst aligned/photos --output train/train.lst

lists a folder tree of aligned faces, `aligned/photos/<person>/<photo>`, as lines
`1 <tab> path <tab> label`, with the labels 0, 1, … in the order of the persons' names. As in 2018,

    python -u glint2lst.py DIR TARGETS > train.lst

takes each target of a comma list: where there is a landmark file `DIR/<target>_lmk` or
`DIR/<target>_lmk.txt` (lines `photo label x1 y1 … x5 y5`, or without the label), its photos are
listed with their landmarks, to be aligned when they are packed; else the tree `DIR/<target>`.
"""

import argparse
import logging
import os
import sys

import numpy as np
from PIL import Image

from src.common.arguments import resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_image import OWN_FILES, write_property
from src.common.face_preprocess import (
    format_aligned_line,
    format_unaligned_line,
    parse_image_size,
)
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.photos import DECODE_ERRORS
from src.data.person_folders import name_some, read_person_folders

log = logging.getLogger(__name__)

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
UNKNOWN_LABEL = -1  # 2018: of a landmark file without labels (test photos)


def find_landmark_file(input_dir, target):
    """Path of a target's landmark file, or None."""
    for ending in ("_lmk", "_lmk.txt"):
        path = os.path.join(input_dir, target + ending)
        if os.path.isfile(path):
            return path
    return None


def parse_landmark_line(line):
    """(photo, label or None, landmark (5,2)) of `photo [label] x1 y1 … x5 y5`.

    Raises
    ------
    ValueError
        Another number of fields, or one that is no number.
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


def list_landmark_file(path, input_dir, labels):
    """List lines of the photos of a landmark file, still to be aligned.

    Parameters
    ----------
    path, input_dir : str
        Photos are named relative to `input_dir`.
    labels : dict
        From the file's label to the list's, 0, 1, … in order of appearance; new ones are added.
        2018: one dict for all targets, so that a number means the same person in each.

    Raises
    ------
    InputError
        Names file and line.
    """
    lines = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                photo, label, landmark = parse_landmark_line(line)
            except ValueError as error:
                raise InputError(f"{path}: line {number}: {error}") from None
            new_label = UNKNOWN_LABEL if label is None else labels.setdefault(label, len(labels))
            # 2018: no box, and the shortest decimals that are the same float32.
            lines.append(
                format_unaligned_line(
                    os.path.join(input_dir, photo), new_label, (0, 0, 0, 0), landmark, spell=str
                )
            )
    if not lines:
        raise InputError(f"{path}: the landmark file is empty")
    return lines


def list_folder_tree(root, first_label, image_size):
    """(list lines, number of labels) of aligned faces `root/<person>/<photo>`.

    Persons without a picture are named and get no label.

    Parameters
    ----------
    root : str
    first_label : int
    image_size : (int, int)
        Height and width that the faces should have; others are warned of.
    """
    folders, strays = read_person_folders(root)
    strays = [name for name in strays if name not in OWN_FILES]
    lines, empty, wrong_size = [], [], []
    label = first_label
    for folder in folders:
        pictures = [name for name in folder.files if name.lower().endswith(PICTURE_ENDINGS)]
        strays += [name for name in folder.files if not name.lower().endswith(PICTURE_ENDINGS)]
        if not pictures:
            empty.append(folder.name)
            continue
        lines += [format_aligned_line(os.path.join(root, name), label) for name in pictures]
        if not _has_size(os.path.join(root, pictures[0]), image_size):
            wrong_size.append(pictures[0])
        label += 1
    if strays:
        log.warning("%d files in %s are no pictures: %s", len(strays), root, name_some(strays))
    if empty:
        log.warning("%d persons have no picture: %s", len(empty), name_some(empty))
    if wrong_size:
        log.warning(
            "the first picture of %d of %d persons is not of %d×%d pixels, as an aligned face is "
            "(align first: python -m src.align.align_megaface): %s",
            len(wrong_size), label - first_label, *image_size, name_some(wrong_size),
        )  # fmt: skip
    if not lines:
        raise InputError(f"{root}: no picture in {len(folders)} person folders")
    return lines, label - first_label


def _has_size(path, image_size):
    """Whether the picture says it has that size; also True where it cannot be read (face2rec2
    names it)."""
    try:
        with Image.open(path) as picture:
            return (picture.height, picture.width) == tuple(image_size)
    except DECODE_ERRORS:
        return True


def make_list(input_dir, targets, image_size):
    """(list lines, number of classes) of all targets; labels are 0 … classes − 1.

    Parameters
    ----------
    input_dir : str
    targets : list of str
        Empty: `input_dir` itself is the folder tree.
    image_size : (int, int)

    Raises
    ------
    FileNotFoundError, InputError
        A target is neither landmark file nor folder, or holds nothing.
    """
    if not targets:
        return list_folder_tree(input_dir, 0, image_size)
    lines, classes, labels = [], 0, {}
    kinds = {target: find_landmark_file(input_dir, target) for target in targets}
    if any(kinds.values()) and not all(kinds.values()):
        without = [target for target, path in kinds.items() if not path]
        raise InputError(
            f"{input_dir}: no {without[0]}_lmk or {without[0]}_lmk.txt, while other targets have "
            "one; list aligned folders and landmark files apart"
        )
    for target, path in kinds.items():
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


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input_dir", metavar="INPUT_DIR", help="folder of the data set")
    parser.add_argument(
        "targets", metavar="TARGETS", nargs="?", default="", help="names between commas"
    )
    parser.add_argument(
        "--output", default="", help="list file; property goes beside it (default: stdout)"
    )
    parser.add_argument(
        "--image-size", default="112,112", help="height,width for property (default: %(default)s)"
    )
    return parser.parse_args(argv)


def main(args=None):
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    targets = [target.strip() for target in args.targets.split(",") if target.strip()]
    image_size = parse_image_size(args.image_size)
    lines, classes = make_list(args.input_dir, targets, image_size)
    text = "".join(line + "\n" for line in lines)
    summary = f"{len(lines)} photos of {classes} people"
    property_line = f"{classes},{image_size[0]},{image_size[1]}"
    if not args.output:
        # As bytes: names may be of another encoding than the terminal's.
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
        log.info("%s; property (with --output it is written): %s", summary, property_line)
        return
    with whole_file(args.output, "w", errors="surrogateescape") as file:
        file.write(text)
    print(f"{args.output}: {summary}")
    if classes:
        path = os.path.join(os.path.dirname(args.output), "property")
        write_property(path, classes, image_size)
        print(f"{path}: {property_line}")


if __name__ == "__main__":
    run_command(main)
