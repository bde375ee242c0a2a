"""Converts photos of any format and name to RGB .jpg photos with plain names.

    python -m src.data.rename_photos --input-dir photos --output-dir photos_jpg

reads `photos/<person>/<photo>` and writes `photos_jpg/0000001/0001.jpg`, …, upright, and the table
`photos_jpg/names.tsv` (old name, new name, state). Run it again after adding photos, or after an
interruption: photos that are already converted are kept.
"""

import argparse
import contextlib
import functools
import io
import logging
import os
from collections.abc import Sequence

from PIL import Image

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import lies_within, whole_file
from src.common.parallel import ordered_map
from src.common.photos import camera_turn, decode_photo
from src.data.name_table import DONE, SKIPPED, NameTable, plain_name
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

    Returns
    -------
    converted, done_before
        Numbers of photos.
    bad
        Old names of the files that cannot be read.

    Raises
    ------
    InputError
        There is no photo, none can be read, or the output is inside the input.
    """
    folders = _read_folders(input_dir, output_dir)
    table = NameTable.read(os.path.join(output_dir, TABLE_NAME))
    for folder in folders:
        table.add_person(folder.name, folder.files, plain_name if keep_names else None)
    # Written before the first photo, so an interrupted run resumes with the same names.
    table.write()
    files = [file for folder in folders for file in folder.files]
    waiting = [file for file in files if not _is_done(table, input_dir, output_dir, file)]
    convert = functools.partial(
        _convert, input_dir=input_dir, output_dir=output_dir, quality=quality
    )
    tasks = [(file, table.new_name(file)) for file in waiting]
    bad = []
    workers = max(1, min(workers, len(tasks) // 50))
    reasons = ordered_map(convert, tasks, workers, "rename")
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


def _is_done(table: NameTable, input_dir: str, output_dir: str, file: str) -> bool:
    """Whether an earlier run converted this file, and it has not changed since."""
    if table.state(file) != DONE:
        return False
    try:
        made = os.path.getmtime(os.path.join(output_dir, table.new_name(file)))
    except FileNotFoundError:
        return False
    return made >= os.path.getmtime(os.path.join(input_dir, file))


def _convert(task: tuple[str, str], input_dir: str, output_dir: str, quality: int) -> str | None:
    """Writes one photo (old name, new name); returns None, or why it cannot be read."""
    old, new = task
    path, made = os.path.join(input_dir, old), os.path.join(output_dir, new)
    try:
        with open(path, "rb") as file:
            content = file.read()
        pixels = decode_photo(content, path)
    except (InputError, OSError) as error:
        # A photo that an earlier run made from an intact file of this name must not remain.
        with contextlib.suppress(FileNotFoundError):
            os.remove(made)
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
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command; bad photos are logged, counted and skipped."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    converted, done_before, bad = rename_photos(
        args.input_dir, args.output_dir, args.names == "keep", args.quality, args.num_workers
    )
    table = os.path.join(args.output_dir, TABLE_NAME)
    print(
        f"{converted} photos converted, {done_before} already done, {len(bad)} files skipped "
        f"(old and new names: {table})"
    )


if __name__ == "__main__":
    run_command(main)
