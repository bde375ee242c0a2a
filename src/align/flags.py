"""The flags of the five commands that align photos."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from src.align.choices import FACE_CHOICES
from src.align.settings import PYRAMID_FACTOR, SMALLEST_FACE, THRESHOLDS, Settings
from src.common.arguments import (
    parse_image_size,
    positive_float,
    positive_int,
    resolve_arguments,
)
from src.common.cluster import BACKENDS
from src.common.shards import WHOLE, Shard


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
        "--add",
        action="store_true",
        help="add this set to an OUTPUT_DIR that has the faces of another one; its faces are in "
        "<set>-2 and its list is lst-2",
    )
    add(
        "--table",
        default="",
        metavar="FILE.csv",
        help="write method, score, box and landmarks of each photo, or why it is skipped",
    )
    add(
        "--report",
        default="",
        metavar="FILE.html",
        help="write a page with faces of each method, the lowest scores, and skipped photos",
    )
    _add_detector_flags(parser.add_argument_group("detector"), defaults)
    _add_machine_flags(parser.add_argument_group("machines"))


def _add_detector_flags(group: argparse._ArgumentGroup, defaults: Mapping[str, Any]) -> None:
    thresholds = defaults.get("thresholds", THRESHOLDS)
    add = group.add_argument
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
        default=thresholds,
        metavar="A,B,C",
        help="scores that a face must exceed in the detector's three networks (default: "
        f"{','.join(map(str, thresholds))})",
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


def _add_machine_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--num-workers",
        type=positive_int,
        default=os.cpu_count(),
        help="number of worker processes (default: number of cores)",
    )
    add(
        "--devices",
        default="cpu",
        help="devices of the detector, such as gpu:0,gpu:1; each worker uses one of them",
    )
    add(
        "--backend",
        default="local",
        choices=BACKENDS,
        help="local: processes of this machine; dask: the workers of a Dask cluster",
    )
    add("--scheduler", default="", metavar="HOST:PORT", help="of the cluster")
    add(
        "--shard",
        type=Shard.parse,
        default=WHOLE,
        metavar="I/N",
        help="only part I (from 0) of N; `python -m src.align.merge_shards OUTPUT_DIR` puts the "
        "lists of all parts together",
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


class Run(NamedTuple):
    """How a set is aligned, without an influence on the faces.

    Attributes
    ----------
    workers
        Number of processes.
    add
        Whether the output folder may already belong to another source.
    table, report
        CSV and HTML file to write; '' for none.
    devices
        As for `parse_devices`.
    backend, scheduler
        As for `on_backend`.
    shard
        The part of the set to align.
    """

    workers: int
    add: bool = False
    table: str = ""
    report: str = ""
    devices: str = "cpu"
    backend: str = "local"
    scheduler: str = ""
    shard: Shard = WHOLE


def run_of(args: argparse.Namespace) -> Run:
    """The run that the flags describe."""
    return Run(
        args.num_workers,
        args.add,
        args.table,
        args.report,
        args.devices,
        args.backend,
        args.scheduler,
        args.shard,
    )
