"""What the five commands that align photos share: flags, the run, its summary."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from easydict import EasyDict

from src.align.alignment import align_dataset
from src.align.choices import FACE_CHOICES
from src.align.settings import PYRAMID_FACTOR, SMALLEST_FACE, THRESHOLDS, Settings
from src.align.styles import STYLES
from src.common.arguments import (
    parse_image_size,
    positive_float,
    positive_int,
    resolve_arguments,
)
from src.common.errors import InputError
from src.common.locks import only_writer
from src.common.output_files import lies_within, whole_file
from src.common.sources import claim, numbered
from src.formats.photo_sets import get_dataset

# ---------------------------------------------------------------------------------- flags


def add_alignment_flags(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Adds the flags that all commands have.

    Parameters
    ----------
    defaults
        Values of `Settings` that differ from its own.
    """
    add = parser.add_argument
    add("--input-dir", required=True, help="folder of photos")
    add("--output-dir", required=True, help="folder for the faces and the list")
    add(
        "--num-workers",
        type=positive_int,
        default=os.cpu_count(),
        help="number of worker processes (default: number of cores)",
    )
    add(
        "--det-model",
        metavar="DIR",
        help="folder with det1.npy, det2.npy, det3.npy (default: weights of the package mtcnn)",
    )
    add(
        "--min-size",
        type=positive_float,
        default=defaults.get("min_size", SMALLEST_FACE),
        help="pixels; the smallest face to look for in a photo of which nothing is known",
    )
    add(
        "--thresholds",
        type=_thresholds,
        default=defaults.get("thresholds", THRESHOLDS),
        metavar="A,B,C",
        help="scores that a face must exceed in the detector's three networks (default: "
        + ",".join(map(str, defaults.get("thresholds", THRESHOLDS)))
        + ")",
    )
    add(
        "--factor",
        type=_factor,
        default=defaults.get("factor", PYRAMID_FACTOR),
        help="ratio of successive scales at which faces are looked for",
    )
    add(
        "--face",
        default=defaults.get("face", "first"),
        choices=list(FACE_CHOICES),
        help="which of several faces to align: first, the one with the best score; or central, the "
        "largest near the middle, usually the subject of the photo",
    )
    add(
        "--add",
        action="store_true",
        help="add this set to an OUTPUT_DIR that has the faces of another one; its faces are in "
        "<set>-2 and its list is lst-2",
    )


def add_image_size(parser: argparse.ArgumentParser) -> None:
    """Adds `--image-size`."""
    parser.add_argument(
        "--image-size", default="112,112", help="height,width of the faces: 112,112 or 112,96"
    )


def _thresholds(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        first = second = third = -1
    if not all(0 <= value < 1 for value in (first, second, third)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected three numbers from 0 to 1, such as 0.6,0.7,0.7"
        )
    return first, second, third


def _factor(text: str) -> float:
    value = positive_float(text)
    if value > 0.95:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0, up to 0.95")
    return value


def resolve_alignment_arguments(
    parse: Callable[[Sequence[str] | None], argparse.Namespace],
    args: Sequence[str] | argparse.Namespace | None,
) -> argparse.Namespace:
    """As `resolve_arguments`; a Namespace may have only the flags of 2018."""
    args = resolve_arguments(parse, args)
    given = vars(args)
    required = [key for key in ("input_dir", "output_dir", "name") if key in given]
    known = parse([f"--{key.replace('_', '-')}={given[key]}" for key in required])
    return argparse.Namespace(**{**vars(known), **given})


def settings_of(args: argparse.Namespace, style: str, keep_undetected: bool) -> Settings:
    """The settings that the flags give."""
    return Settings(
        parse_image_size(getattr(args, "image_size", "112,112")),
        keep_undetected,
        args.det_model,
        args.face,
        style,
        args.min_size,
        args.thresholds,
        args.factor,
    )


# ---------------------------------------------------------------------------------- the run


class Source(NamedTuple):
    """Photos to align: a path, the kind of its data set, and the function that lists them."""

    path: str
    kind: str
    read: Callable[[str, str], list[EasyDict]] = lambda path, kind: get_dataset(kind, path)


def align_set(
    source: Source, output_dir: str, settings: Settings, workers: int, add: bool = False
) -> None:
    """Aligns the photos of a data set and prints a summary.

    Parameters
    ----------
    workers
        Number of processes.
    add
        Whether the output folder may already belong to another source.

    Raises
    ------
    FileNotFoundError, InputError
        There are no such photos, or none of them could be aligned; the output folder belongs to
        another source, or another process is writing it.
    """
    path, output_dir = os.path.expanduser(source.path), os.path.expanduser(output_dir)
    if lies_within(output_dir, path):
        raise InputError(
            f"--output-dir {output_dir} lies within --input-dir {path}, so the next run "
            "would read the aligned faces as photos; choose another folder"
        )
    print("input_dir ", path)
    dataset = source.read(path, source.kind)
    print("dataset size", source.kind, len(dataset))
    if not dataset:
        raise InputError(f"{path}: no photos where {source.kind} photos are expected (see --help)")
    print("Creating networks and loading parameters")
    for parameter in (settings.min_size, list(settings.thresholds), settings.factor):
        print(parameter)
    list_name = STYLES[settings.style].list_name.format(kind=source.kind)
    with only_writer(output_dir, "--output-dir"):
        number, _ = claim(output_dir, path, add)
        list_path = os.path.join(output_dir, numbered(list_name, number))
        counters, skipped = align_dataset(
            dataset, output_dir, settings, workers, _print_progress, list_path, number
        )
        ways = STYLES[settings.style].ways
        _print_summary(counters, skipped, len(dataset), f"{list_path}.skipped", ways)


def _print_progress(number: int, counters: np.ndarray) -> None:
    """Prints 2018's line every 100 photos."""
    if number % 100 == 0:
        print(f"Processing {number}, ({counters})", flush=True)


def _print_summary(
    counters: np.ndarray,
    skipped: Sequence[tuple[str, str]],
    total: int,
    path: str,
    ways: Sequence[str],
) -> None:
    """Prints the counts and lists skipped photos in a file; InputError if no photo was aligned."""
    print(f"aligned {counters.sum()} of {total} photos")
    for count, way in zip(counters, ways, strict=True):
        print(f"{count:8d}  {way}")
    with whole_file(path, "w", errors="surrogateescape") as file:
        for photo, reason in skipped:
            # Names with a tab or newline, which are skipped, must not break this file either.
            name = photo.translate({9: "\\t", 10: "\\n", 13: "\\r"})
            file.write(f"{name}\t{reason}\n")
    if skipped:
        print(f"skipped {len(skipped)} of {total}: list in {path}")
    if not counters.sum():
        raise InputError(f"none of the {total} photos could be aligned; the reasons are in {path}")
