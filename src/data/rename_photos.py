"""Converts photos of any format and name to RGB .jpg photos with plain names.

    python -m src.data.rename_photos --input-dir photos --output-dir photos_jpg

reads `photos/<person>/<photo>` and writes `photos_jpg/0000001/0001.jpg`, …, upright, and the table
`photos_jpg/names.tsv` (old name, new name, state). Run it again after adding photos, or after an
interruption: photos that are already converted are kept.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import contextlib
import functools
import io
import logging
import os
from collections.abc import Sequence

from PIL import Image

from src.common.arguments import make_parser, resolve_arguments
from src.common.encoded_image import begins_as_image
from src.common.errors import InputError, run_command
from src.common.folders import may_exist
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.output_files import lies_within, remove_result, whole_file
from src.common.parallel import ordered_map
from src.common.photos import camera_turn, decode_photo, read_content
from src.common.sources import claim, numbered
from src.data.name_table import DONE, PLANNED, SKIPPED, NameTable, plain_name, stamp_of
from src.data.person_folders import (
    PersonFolder,
    printable,
    printable_list,
    read_person_folders,
)

log = logging.getLogger(__name__)

TABLE_NAME = "names.tsv"


def rename_photos(
    input_dir: str,
    output_dir: str,
    keep_names: bool = False,
    quality: int = 95,
    workers: int = 1,
    add: bool = False,
) -> tuple[int, int, list[str]]:
    """Converts all photos.

    Parameters
    ----------
    keep_names
        Keep names that are plain ASCII; otherwise every name becomes a number.
    quality
        Of the JPEG, 1 to 100. An upright RGB JPEG is copied byte for byte.
    workers
        Number of processes.
    add
        Whether the output folder may already belong to another input folder; the people of both
        are kept apart.

    Returns
    -------
    converted, done_before
        Numbers of photos.
    bad
        Old names of the files that cannot be read.

    Raises
    ------
    InputError
        There is no photo, none can be read, the output is inside the input or belongs to another
        input, or another process is writing it.
    """
    folders = _read_folders(input_dir, output_dir)
    with only_writer(output_dir, "--output-dir"):
        table = _read_table(input_dir, output_dir, add)
        for folder in folders:
            table.add_person(folder.name, folder.files, plain_name if keep_names else None)
        return _rename(folders, table, input_dir, output_dir, quality, workers)


def _read_table(input_dir: str, output_dir: str, add: bool) -> NameTable:
    """The table of an input folder, in which the names of other input folders are taken."""
    number, others = claim(output_dir, input_dir, add)
    table = NameTable.read(os.path.join(output_dir, numbered(TABLE_NAME, number)))
    for other in others:
        path = os.path.join(output_dir, numbered(TABLE_NAME, other))
        table.take_names_of(NameTable.read(path))
    return table


def _rename(
    folders: Sequence[PersonFolder],
    table: NameTable,
    input_dir: str,
    output_dir: str,
    quality: int,
    workers: int,
) -> tuple[int, int, list[str]]:
    """What `rename_photos` returns."""
    files = [file for folder in folders for file in folder.files]
    _remove_gone(table, input_dir, output_dir, files)
    waiting = []
    for file in files:
        if _is_done(table, input_dir, output_dir, file):
            table.set_state(file, DONE)  # also if a killed run could not write that
        else:
            waiting.append(file)
    for file in waiting:
        # An old result must not count as the new one if this run is killed.
        _remove(os.path.join(output_dir, table.new_name(file)))
        table.plan(file, stamp_of(os.path.join(input_dir, file)))
    table.write()
    convert = functools.partial(
        _convert, input_dir=input_dir, output_dir=output_dir, quality=quality
    )
    tasks = [(file, table.new_name(file)) for file in waiting]
    bad = []
    workers = max(1, min(workers, len(tasks) // 50))
    reasons = ordered_map(
        convert, tasks, workers, "rename", name=lambda task: os.path.join(input_dir, task[0])
    )
    for file, reason in zip(waiting, reasons, strict=True):
        table.set_state(file, f"{SKIPPED}: {reason}" if reason else DONE)
        if reason:
            bad.append(file)
            log.warning("skipped %s", printable(reason))
    table.write()
    if len(bad) == len(files):
        raise InputError(f"{input_dir}: none of {len(files)} files is a readable photo")
    _warn_about_lost_people(folders, bad)
    return len(waiting) - len(bad), len(files) - len(waiting), bad


def _read_folders(input_dir: str, output_dir: str) -> list[PersonFolder]:
    """The person folders; files next to them and empty folders are logged."""
    if lies_within(output_dir, input_dir):
        raise InputError(
            f"--output-dir {output_dir} is inside --input-dir {input_dir}, so the next run would "
            "take its photos for another person's; choose another folder"
        )
    folders, strays = read_person_folders(input_dir)
    if strays:
        log.warning(
            "%d files next to the person folders are skipped: %s",
            len(strays),
            printable_list(strays),
        )
    empty = [folder.name for folder in folders if not folder.files]
    if empty:
        log.warning("%d person folders are empty: %s", len(empty), printable_list(empty))
    return folders


def _warn_about_lost_people(folders: Sequence[PersonFolder], bad: Sequence[str]) -> None:
    """Logs the people without a readable photo."""
    unread = set(bad)
    lost = [folder.name for folder in folders if folder.files and unread.issuperset(folder.files)]
    if lost:
        log.warning("%d people have no readable photo: %s", len(lost), printable_list(lost))


def _remove_gone(table: NameTable, input_dir: str, output_dir: str, files: Sequence[str]) -> None:
    """Removes the results and rows of files that no longer exist."""
    gone = [
        old
        for old in set(table.old_names()).difference(files)
        if not may_exist(os.path.join(input_dir, old))
    ]
    for old in gone:
        remove_result(os.path.join(output_dir, table.new_name(old)))
        table.remove(old)
    if gone:
        log.warning(
            "%d photos are no longer in %s; their copies are removed: %s",
            len(gone),
            input_dir,
            printable_list(sorted(gone)),
        )


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _is_done(table: NameTable, input_dir: str, output_dir: str, file: str) -> bool:
    """Whether an earlier run converted this file, perhaps one that was killed, and it is the same.

    After a power failure a file may be empty or contain zeros.
    """
    made, source = os.path.join(output_dir, table.new_name(file)), os.path.join(input_dir, file)
    try:
        if not begins_as_image(made):
            return False
        if table.stamp(file):
            return table.stamp(file) == stamp_of(source) and table.state(file) in (DONE, PLANNED)
        # The row was written by version 1.1.0.
        return table.state(file) == DONE and os.path.getmtime(made) >= os.path.getmtime(source)
    except OSError:
        return False


def _convert(task: tuple[str, str], input_dir: str, output_dir: str, quality: int) -> str | None:
    """Writes one photo (old name, new name); returns None, or why it cannot be read."""
    old, new = task
    path, made = os.path.join(input_dir, old), os.path.join(output_dir, new)
    try:
        content = read_content(path)
        pixels = decode_photo(content, path)
    except (InputError, OSError) as error:
        # A photo that an earlier run made from an intact file of this name must not remain.
        _remove(made)
        return str(error)
    with whole_file(made) as output:
        if _is_plain_jpeg(content):
            output.write(content)
        else:
            Image.fromarray(pixels).save(output, "JPEG", quality=quality, subsampling=0)
    return None


def _is_plain_jpeg(content: bytes) -> bool:
    """Whether the bytes are an upright RGB JPEG, which needs no conversion."""
    with Image.open(io.BytesIO(content)) as photo:
        return photo.format == "JPEG" and photo.mode == "RGB" and camera_turn(photo) is None


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--input-dir", required=True, help="folder of <person>/<photo>")
    add("--output-dir", required=True, help="folder for <person>/<photo>.jpg and names.tsv")
    add(
        "--names",
        choices=["number", "keep"],
        default="number",
        help="number: every name becomes a number; keep: names in plain ASCII are kept",
    )
    add("--quality", type=int, default=95, help="of the JPEG, 1 to 100")
    add(
        "--num-workers",
        type=int,
        default=os.cpu_count(),
        help="number of processes (default: one per core)",
    )
    add(
        "--add",
        action="store_true",
        help="add this set to an OUTPUT_DIR that has the photos of another one; their people are "
        "kept apart, and its table is names-2.tsv",
    )
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; bad photos are logged, counted and skipped."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    converted, done_before, bad = rename_photos(
        args.input_dir,
        args.output_dir,
        args.names == "keep",
        args.quality,
        args.num_workers,
        args.add,
    )
    number, _ = claim(args.output_dir, args.input_dir, args.add)
    table = os.path.join(args.output_dir, numbered(TABLE_NAME, number))
    print(
        f"{converted} photos converted, {done_before} already done, {len(bad)} files skipped "
        f"(old and new names: {table})"
    )


if __name__ == "__main__":
    run_command(main)
