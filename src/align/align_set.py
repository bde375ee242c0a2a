"""What the five commands that align photos do: find the photos, align them, print a summary."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from src.align.alignment import Machines, align_dataset
from src.align.flags import Run, resolve_alignment_arguments, run_of, settings_of
from src.align.outputs import Outputs
from src.align.planning import Plan
from src.align.settings import Settings
from src.align.stages import networks
from src.align.styles import STYLES
from src.common.cluster import on_backend
from src.common.devices import parse_devices
from src.common.errors import InputError
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.output_files import lies_within
from src.common.shards import WHOLE
from src.common.sources import claim, numbered
from src.common.writable import check_output_file
from src.formats.photo_set import PhotoSet
from src.formats.photo_sets import find_photos


class Source(NamedTuple):
    """Photos to align: a path, the kind of its data set, and the function that lists them."""

    path: str
    kind: str
    read: Callable[[str, str], PhotoSet] = find_photos


def run_command_of(
    style: str,
    parse: Callable[[Sequence[str] | None], argparse.Namespace],
    args: Sequence[str] | argparse.Namespace | None,
    keep_undetected: bool | Callable[[argparse.Namespace], bool],
    read: Callable[[str, str], PhotoSet] = find_photos,
) -> None:
    """What each aligning command does with its arguments.

    Parameters
    ----------
    style
        A key of `src.align.styles.STYLES`; the kind of the photos unless there is a `--name`.
    parse
        The command's own function.
    args
        As for `main`; a Namespace may have only the flags of 2018.
    keep_undetected
        See `Settings`; or a function that tells it from the flags.
    read
        Lists the photos, given their kind and path.
    """
    configure_logging()
    args = resolve_alignment_arguments(parse, args)
    kept = keep_undetected(args) if callable(keep_undetected) else keep_undetected
    source = Source(args.input_dir, getattr(args, "name", style), read)
    align_set(source, args.output_dir, settings_of(args, style, kept), run_of(args))


def align_set(source: Source, output_dir: str, settings: Settings, run: Run) -> None:
    """Aligns the photos of a data set and prints a summary.

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
    for flag, file in (("--table", run.table), ("--report", run.report)):
        if file:
            check_output_file(file, flag)
    parse_devices(run.devices)  # a device that cannot be used is reported before the work
    print("input_dir ", path)
    photos = source.read(source.kind, path)
    print("dataset size", source.kind, len(photos))
    if not photos:
        raise InputError(f"{path}: no photos where {source.kind} photos are expected (see --help)")
    print("Creating networks and loading parameters")
    networks(
        settings.det_model, "cpu"
    )  # missing weights are reported once, before any worker starts
    for parameter in (settings.min_size, list(settings.thresholds), settings.factor):
        print(parameter)
    style = STYLES[settings.style]
    with (
        only_writer(output_dir, "--output-dir", run.shard.suffix),
        on_backend(run.backend, run.scheduler),
    ):
        number, _ = claim(output_dir, path, run.add)
        list_name = numbered(style.list_name.format(kind=source.kind), number) + run.shard.suffix
        outputs = Outputs(os.path.join(output_dir, list_name), style, run.table, run.report)
        plan = Plan(photos, output_dir, settings, number, run.shard)
        machines = Machines(run.workers, run.devices)
        counters = align_dataset(plan, settings, machines, _print_progress, outputs)
        _print_summary(counters, style.ways, outputs.skipped)
    if run.shard == WHOLE and not counters[:-1].any():  # a part may have only bad photos
        raise InputError(
            f"none of the {counters.sum()} photos could be aligned; the reasons are in "
            f"{outputs.skipped}"
        )


def _print_progress(number: int, counters: np.ndarray) -> None:
    """Prints 2018's line every 100 photos."""
    if number % 100 == 0:
        print(f"Processing {number}, ({counters})", flush=True)


def _print_summary(counters: np.ndarray, ways: Sequence[str], skipped: str) -> None:
    """Prints the counts.

    Parameters
    ----------
    counters
        Photos aligned in each way, and skipped photos.
    skipped
        Path of the list of these.
    """
    total = counters.sum()
    print(f"aligned {counters[:-1].sum()} of {total} photos")
    for count, way in zip(counters[:-1], ways, strict=True):
        print(f"{count:8d}  {way}")
    if counters[-1]:
        print(f"skipped {counters[-1]} of {total}: list in {skipped}")
