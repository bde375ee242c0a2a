"""Makes RGB .jpg photos with plain names out of photos of any format and name.

    python -m src.data.rename_photos --input-dir photos --output-dir photos_jpg

reads `photos/<person>/<photo>` and writes `photos_jpg/0000001/0001.jpg`, …, upright, and the table
`photos_jpg/names.tsv` (old name, new name, what became of it). Run it again after adding photos, or
after it was stopped: what is done stays as it is.
"""

import argparse
import contextlib
import functools
import io
import logging
import os

from PIL import Image

from src.common.arguments import resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import lies_within, whole_file
from src.common.parallel import ordered_map
from src.common.photos import camera_turn, decode_photo
from src.data.name_table import DONE, SKIPPED, NameTable, plain_name
from src.data.person_folders import name_some, printable, read_person_folders

log = logging.getLogger(__name__)

TABLE_NAME = "names.tsv"


def rename_photos(input_dir, output_dir, keep_names=False, quality=95, workers=1):
    """Converts all photos; returns (converted now, done before, bad) as lists of old names.

    Parameters
    ----------
    input_dir, output_dir : str
    keep_names : bool
        Names that are plain ASCII stay; else all are numbered.
    quality : int
        Of the JPEG; an upright RGB JPEG passes through byte for byte.
    workers : int
        Processes.

    Raises
    ------
    InputError
        There is no photo at all, none can be read, or the output lies within the input.
    """
    if lies_within(output_dir, input_dir):
        raise InputError(
            f"--output-dir {output_dir} lies within --input-dir {input_dir}: the next run would "
            "take its photos for another person's; choose another folder"
        )
    folders, strays = read_person_folders(input_dir)
    if strays:
        log.warning(
            "%d files lie beside the person folders and are skipped: %s",
            len(strays), name_some(strays),
        )  # fmt: skip
    empty = [folder.name for folder in folders if not folder.files]
    if empty:
        log.warning("%d person folders are empty: %s", len(empty), name_some(empty))
    table = NameTable.read(os.path.join(output_dir, TABLE_NAME))
    for folder in folders:
        table.add_person(folder.name, folder.files, plain_name if keep_names else None)
    # Written before the first photo: a run that is stopped goes on with the same names.
    table.write()
    files = [file for folder in folders for file in folder.files]
    waiting = [file for file in files if not _is_done(table, input_dir, output_dir, file)]
    convert = functools.partial(
        _convert, input_dir=input_dir, output_dir=output_dir, quality=quality
    )
    tasks = [(file, table.new_name(file)) for file in waiting]
    bad = []
    workers = max(1, min(workers, len(tasks) // 50))
    for (file, _), reason in zip(
        tasks, ordered_map(convert, tasks, workers, "rename"), strict=True
    ):
        table.set_state(file, f"{SKIPPED}: {reason}" if reason else DONE)
        if reason:
            bad.append(file)
            log.warning("skipped %s", printable(reason))
    table.write()
    if len(bad) == len(files):
        raise InputError(f"{input_dir}: none of {len(files)} files is a readable photo")
    unread = set(bad)
    lost = [folder.name for folder in folders if folder.files and unread.issuperset(folder.files)]
    if lost:
        log.warning("%d people are left without a photo: %s", len(lost), name_some(lost))
    done_before = len(files) - len(waiting)
    return len(waiting) - len(bad), done_before, bad


def _is_done(table, input_dir, output_dir, file):
    """Whether an earlier run converted this file, and it has not changed since."""
    if table.state(file) != DONE:
        return False
    try:
        made = os.path.getmtime(os.path.join(output_dir, table.new_name(file)))
    except FileNotFoundError:
        return False
    return made >= os.path.getmtime(os.path.join(input_dir, file))


def _convert(task, input_dir, output_dir, quality):
    """Writes one photo; None, or why it cannot be read."""
    old, new = task
    path, made = os.path.join(input_dir, old), os.path.join(output_dir, new)
    try:
        with open(path, "rb") as file:
            content = file.read()
        pixels = decode_photo(content, path)
    except (InputError, OSError) as error:
        # What an earlier, whole photo of that name became must not stand for it.
        with contextlib.suppress(FileNotFoundError):
            os.remove(made)
        return str(error)
    with whole_file(made) as file:
        if _is_plain_jpeg(content):
            file.write(content)
        else:
            Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return None


def _is_plain_jpeg(content):
    """Whether the bytes are an RGB JPEG that lies upright: nothing to change."""
    with Image.open(io.BytesIO(content)) as photo:
        return photo.format == "JPEG" and photo.mode == "RGB" and camera_turn(photo) is None


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input-dir", required=True, help="photos, as <person>/<photo>")
    parser.add_argument("--output-dir", required=True, help="where <person>/<photo>.jpg go")
    parser.add_argument(
        "--names", choices=["number", "keep"], default="number",
        help="number everything, or keep names that are plain ASCII (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--quality", type=int, default=95, help="of the JPEG, 1 to 100")
    parser.add_argument(
        "--num-workers", type=int, default=os.cpu_count(), help="processes (default: one a core)"
    )
    return parser.parse_args(argv)


def main(args=None):
    """Runs the command; bad photos are named and counted, and the rest goes on."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    converted, done_before, bad = rename_photos(
        args.input_dir, args.output_dir, args.names == "keep", args.quality, args.num_workers
    )
    table = os.path.join(args.output_dir, TABLE_NAME)
    print(
        f"{converted} photos converted, {done_before} were done before, {len(bad)} files skipped "
        f"(table old name, new name: {table})"
    )


if __name__ == "__main__":
    run_command(main)
