"""Writes the embeddings of pictures: a folder, a list .lst, a set .rec, or pairs .bin.

    python -m src.embed --input faces --model models/y1/model,12 --output faces.npy

writes `faces.npy`, float32 (N, D), each row of length 1, and `faces.tsv` with the row, the name,
the label and a note for each picture. The pictures are aligned faces; with `--align` they are
photos, in which a face is found and aligned first. A picture that cannot be read or has no face
gets a row of NaN and a note. A run that was stopped continues where it was.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import functools
import logging
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from src.align.choices import FACE_CHOICES
from src.align.detector import MtcnnDetector
from src.align.ladder import align_photos
from src.align.photo import Photo
from src.checkpoints.names import params_path
from src.common.arguments import (
    make_parser,
    parse_image_size,
    positive_float,
    positive_int,
    resolve_arguments,
)
from src.common.devices import single_context
from src.common.errors import InputError, printable, run_command
from src.common.locks import only_process
from src.common.log import configure_logging, progress_bar
from src.common.output_files import whole_file
from src.common.writable import check_output_file
from src.deploy.embedder import SMALLEST_FACE, FaceEmbedder
from src.deploy.embedding_table import EmbeddingTable, blocks
from src.deploy.sources import Source, open_source
from src.formats.embedding_files import COLUMNS, index_path

log = logging.getLogger(__name__)

BATCHES_AT_A_TIME = 8

Picture = tuple[np.ndarray | None, str]
"""An aligned face, or None and the reason."""
Align = Callable[[list[Picture]], list[Picture]]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--input", required=True, metavar="PATH", help="folder, or file .lst, .rec, .bin")
    add("--model", required=True, help="prefix,epoch, or prefix for the newest checkpoint")
    add(
        "--output", required=True, metavar="FILE.npy", help="the embeddings; the .tsv is next to it"
    )
    add_embedding_flags(parser)
    args = parser.parse_args(argv)
    if not args.output.endswith(".npy"):
        parser.error(f"--output {args.output}: expected a name that ends with .npy")
    return args


def add_embedding_flags(parser: argparse._ActionsContainer) -> None:
    """Adds the flags that decide how a picture is embedded, except `--model`."""
    add = parser.add_argument
    add("--flip", action="store_true", help="also use the mirrored faces, as in verification")
    add("--image-size", default="112,112", help="height,width of the model's faces")
    add("--align", action="store_true", help="find and align a face in each picture first")
    add("--face", choices=FACE_CHOICES, default="central", help="which of several faces [--align]")
    add("--min-size", type=positive_float, default=SMALLEST_FACE, help="smallest face [--align]")
    add("--batch-size", type=positive_int, default=32, help="faces that are computed at once")
    add("--threads", type=positive_int, default=2, help="number of decoding threads")
    add("--gpu", default=-1, type=int, help="index of the GPU; -1: CPU")


def read_picture(source: Source, place: int) -> Picture:
    """A picture of the source."""
    try:
        return source.read(place), ""
    except (InputError, OSError) as error:
        return None, str(error)


def of_size(size: tuple[int, int], pictures: list[Picture]) -> list[Picture]:
    """The pictures, of which those of another size get a reason."""
    checked = []
    for image, reason in pictures:
        if image is not None and image.shape[:2] != size:
            reason = f"height and width {image.shape[:2]}, expected {size}; --align finds faces"
            image = None
        checked.append((image, reason))
    return checked


def aligned(
    args: argparse.Namespace,
    detector: MtcnnDetector,
    size: tuple[int, int],
    pictures: list[Picture],
) -> list[Picture]:
    """The faces in pictures."""
    photos = [None if image is None else Photo(image) for image, _ in pictures]
    known = [photo for photo in photos if photo is not None]
    align_photos(known, detector, size, False, FACE_CHOICES[args.face], args.min_size)
    return [
        (None, reason) if photo is None else (photo.face, photo.reason)
        for photo, (_, reason) in zip(photos, pictures, strict=True)
    ]


def embed_all(
    source: Source,
    embedder: FaceEmbedder,
    table: EmbeddingTable,
    align: Align,
    args: argparse.Namespace,
) -> None:
    """Fills the table with the embeddings of the pictures that it does not have yet."""
    count, done = len(source.names), table.rows
    if done:
        log.info("continuing after %d of %d pictures", done, count)
    size = args.batch_size * BATCHES_AT_A_TIME
    with ThreadPoolExecutor(args.threads) as pool, progress_bar("embed", "picture", count) as bar:
        bar.update(done)
        for places in blocks(done, count, size):
            faces = align(list(pool.map(functools.partial(read_picture, source), places)))
            rows = np.full((len(places), embedder.size), np.nan, np.float32)
            found = [place for place, (face, _) in enumerate(faces) if face is not None]
            if found:
                images = np.stack([face for face, _ in faces if face is not None])
                rows[found] = embedder(images, args.flip)
            table.add(rows, [reason for _, reason in faces])
            bar.update(len(places))


def write_index(path: str, source: Source, notes: Mapping[int, str]) -> None:
    """Writes the table of rows."""
    with whole_file(path, "w", errors="surrogateescape") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for number, named in enumerate(zip(source.names, source.labels, strict=True)):
            texts = (*named, notes.get(number, ""))
            name, label, note = (text.replace("\t", " ").replace("\n", " ") for text in texts)
            file.write(f"{number}\t{name}\t{label}\t{note}\n")


def identity(args: argparse.Namespace, source: Source, embedder: FaceEmbedder) -> list[object]:
    """What the embeddings depend on."""
    names = zlib.crc32("\n".join(source.names).encode("utf-8", "surrogateescape"))
    stat = os.stat(params_path(embedder.prefix, embedder.epoch))
    settings = [args.flip, args.align, args.face, args.min_size, args.image_size]
    return [os.path.abspath(args.input), names, stat.st_size, stat.st_mtime_ns, *settings]


def write_embeddings(args: argparse.Namespace) -> str:
    """Does what the command does; returns a line that says what was written."""
    check_output_file(args.output, "--output")
    index = index_path(args.output)
    for path in (args.output, index):
        if os.path.exists(path):
            raise InputError(f"{path} exists: choose another --output, or remove it")
    size = parse_image_size(args.image_size)
    source = open_source(args.input)
    embedder = FaceEmbedder(args.model, single_context(args.gpu), size, args.batch_size)
    align: Align = functools.partial(of_size, size)
    if args.align:
        align = functools.partial(aligned, args, MtcnnDetector.create(), size)
    with only_process(f"{args.output}.lock", f"--output {args.output}"):
        shape = (len(source.names), embedder.size)
        table = EmbeddingTable(args.output, shape, identity(args, source, embedder))
        embed_all(source, embedder, table, align, args)
        bad = sorted(table.notes)
        if len(bad) == len(source.names):
            raise InputError(
                f"{args.input}: no picture has an embedding; the first: {table.notes[0]}"
            )
        write_index(index, source, table.notes)
        table.finish()
    if bad:
        name = printable(source.names[bad[0]])
        log.warning(
            "%d pictures have no embedding, the first: %s (%s)",
            *(len(bad), name, table.notes[bad[0]]),
        )
    return f"{args.output}: {shape[0]} embeddings of {shape[1]} numbers; {index} has their names"


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    print(write_embeddings(args))


if __name__ == "__main__":
    run_command(main)
