"""Merges data sets into one, without the people that an earlier set already contains.

    python -m src.data.dataset_merge --include ms1m,own --output merged --model ../model/y1,0

Each identity's centre (the mean embedding of its images) is compared with the identities kept from
the sets before its own. If the cosine similarity is at least --param1, it is dropped as a
duplicate. With --exclude (a data set folder, or a verification set such as lfw.bin), identities
that have a similarity of at least --param2 to someone in it are dropped too.

`merged/merge_report.tsv` lists for each identity whether it was kept, which one is most similar to
it, and the similarity: choose --param1 between same and different people (0.3, as in 2018, also
drops some different people). --model '' --param1 0 merges without comparing anyone.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import logging
import os
from collections.abc import Sequence

import numpy as np

from src.checkpoints.binding import bind_embedding
from src.checkpoints.files import load_checkpoint
from src.checkpoints.names import parse_one_model
from src.common.arguments import make_parser, resolve_arguments
from src.common.devices import training_contexts
from src.common.errors import InputError, run_command
from src.common.locks import only_writer
from src.common.log import configure_logging
from src.common.mxnet_backend import mx
from src.common.writable import check_output_folder
from src.data.centre_store import CentreStore
from src.data.class_centres import class_centres, embed_encoded, unit_rows
from src.data.merging import (
    KEPT,
    REPORT_NAME,
    FaceSet,
    Identity,
    check_image_sizes,
    drop_duplicates,
    drop_excluded,
    open_face_set,
    stack_centres,
    summary_lines,
    write_merged,
    write_report,
)
from src.formats.face_records import check_count
from src.formats.recordio import unpack_payload
from src.formats.records import RecordReader
from src.formats.verification_set import read_bin

log = logging.getLogger(__name__)


def get_embedding(
    args: argparse.Namespace,
    imgrec: RecordReader | mx.recordio.MXIndexedRecordIO,
    id: int,
    image_size: Sequence[int],
    model: mx.mod.Module,
) -> np.ndarray:
    """Unit centre (D,), float64, of one identity; 2018's function.

    Parameters
    ----------
    args
        Only `batch_size` is used: the batch size that the model is bound for.
    id
        Number of the identity's record.
    image_size
        Height, width.

    Raises
    ------
    InputError
        None of the identity's images can be decoded.
    """
    start, stop = unpack_payload(imgrec.read_idx(id)).label
    contents = (
        unpack_payload(imgrec.read_idx(index)).content for index in range(int(start), int(stop))
    )
    blocks = embed_encoded(contents, model, args.batch_size, image_size)
    rows = [embeddings for _, embeddings in blocks]
    if not rows:
        raise InputError(f"identity record {id}: none of its images can be decoded")
    return unit_rows(np.concatenate(rows).mean(axis=0, keepdims=True))[0]


def load_model(text: str, batch_size: int, image_size: Sequence[int]) -> mx.mod.Module:
    """The Module of 'prefix,epoch', bound for this batch size on the visible devices."""
    prefix, epoch = parse_one_model(text)
    contexts = training_contexts()
    print("loading", prefix, epoch)
    return bind_embedding(*load_checkpoint(prefix, epoch), contexts, batch_size, image_size)


class Embedder:
    """Computes class centres with a bound model, or takes them from the store.

    Parameters
    ----------
    model
        'prefix,epoch'.
    image_size
        Height, width.
    """

    def __init__(
        self, model: str, batch_size: int, image_size: Sequence[int], store: CentreStore
    ) -> None:
        self.module = load_model(model, batch_size, image_size)
        self.batch_size = batch_size
        self.image_size = image_size
        self._store = store

    def centres(self, face_set: FaceSet) -> tuple[np.ndarray, list[int]]:
        """(centres (C, D), numbers of undecodable images) of a set."""
        found = self._store.load(face_set)
        if found is None:
            found = class_centres(
                face_set.reader, face_set.ranges, self.module, self.batch_size, self.image_size
            )
            self._store.save(face_set, *found)
        return found


def excluded_rows(path: str, embedder: Embedder) -> np.ndarray:
    """Unit embeddings (E, D) of --exclude: identities of a folder, or images of a .bin.

    The row of an identity or image that cannot be decoded is zero.
    """
    if os.path.isdir(path):
        excluded = open_face_set(path)
        return embedder.centres(excluded)[0]
    if not os.path.isfile(path):
        raise FileNotFoundError(f"--exclude {path}: neither a data set folder nor a .bin file")
    images, _ = read_bin(path)
    blocks = embed_encoded(images, embedder.module, embedder.batch_size, embedder.image_size)
    rows = np.zeros((len(images), 0))
    for positions, embeddings in blocks:
        if not rows.shape[1]:
            rows = np.zeros((len(images), embeddings.shape[1]))
        rows[positions] = embeddings
    return rows


def compare(
    face_sets: Sequence[FaceSet], embedder: Embedder | None, threshold: float
) -> tuple[list[Identity], list[np.ndarray], list[set[int]]]:
    """Decides which identities are kept, set by set.

    Returns
    -------
    identities
        All of them.
    kept_centres
        One of shape (D,) for each kept identity, in order; empty without an embedder.
    bad_images
        For each set, the numbers of undecodable images.
    """
    identities: list[Identity] = []
    kept: list[Identity] = []
    kept_centres: list[np.ndarray] = []
    bad_images: list[set[int]] = []
    names = [face_set.folder for face_set in face_sets]
    for source, face_set in enumerate(face_sets):
        print("header0 label", np.array(face_set.header, np.float32))
        own = [Identity(source, label) for label in range(len(face_set.ranges))]
        bad: list[int] = []
        if embedder:
            centres, bad = embedder.centres(face_set)
            drop_duplicates(own, centres, kept, stack_centres(kept_centres), names, threshold)
            kept_centres += [
                centre
                for centre, identity in zip(centres, own, strict=True)
                if identity.result == KEPT
            ]
        identities += own
        kept += [identity for identity in own if identity.result == KEPT]
        bad_images.append(set(bad))
        # 2018: the second number is not printed for the first set, nor without a model.
        print(source, len(own), *([len(kept)] if source and embedder else []))
    return identities, kept_centres, bad_images


def merge(
    include: Sequence[str],
    exclude: str,
    output: str,
    model: str,
    batch_size: int,
    thresholds: tuple[float, float],
    test: int,
) -> None:
    """Merges data sets and reports on each identity; for the parameters see the flags.

    Parameters
    ----------
    thresholds
        --param1 and --param2.
    test
        2018: nothing is written if above 0 (here: only the report).
    """
    face_sets = [open_face_set(folder) for folder in include]
    check_image_sizes(face_sets)
    if not test:
        images = sum(face_set.header[0] - 1 for face_set in face_sets)
        check_count(images, sum(len(face_set.ranges) for face_set in face_sets), "--include")
    image_size = face_sets[0].image_size
    print("image_size", list(image_size))
    if model:  # fixes the epoch, in case a newer checkpoint appears during the merge
        prefix, epoch = parse_one_model(model)
        model = f"{prefix},{epoch}"
    store = CentreStore(output, model, (image_size, batch_size))
    embedder = Embedder(model, batch_size, image_size, store) if model else None
    identities, kept_centres, bad_images = compare(face_sets, embedder, thresholds[0])
    if exclude:
        assert embedder is not None  # `check_args` requires a model
        kept = [identity for identity in identities if identity.result == KEPT]
        rows = excluded_rows(exclude, embedder)
        centres = stack_centres(kept_centres)
        print("exclude", drop_excluded(kept, centres, rows, exclude, thresholds[1]))
    images = 0
    if not test:
        images = write_merged(output, face_sets, identities, bad_images)
    report = os.path.join(output, REPORT_NAME)
    write_report(report, identities, face_sets)
    store.clear()
    print("\n".join(summary_lines(identities, face_sets)))
    kept_count = sum(identity.result == KEPT for identity in identities)
    if not test:
        print(f"{images} images + {kept_count} identities + 1 header in {output}/train.rec")
    print(f"report: {report}")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults."""
    parser = make_parser(__doc__)
    add = parser.add_argument_group("data sets").add_argument
    add("--include", default="", help="data set folders, separated by commas")
    add("--exclude", default="", help="data set folder or verification set .bin of people to drop")
    add("--output", default="", help="folder for the merged set and the report")
    add = parser.add_argument_group("comparison").add_argument
    add(
        "--model",
        default="../model/softmax,50",
        help="prefix,epoch; a prefix alone: its newest checkpoint; '' needs --param1 0",
    )
    add("--batch-size", type=int, default=32, help="images per batch")
    add("--param1", type=float, default=0.3, help="lowest cosine similarity of duplicates")
    add("--param2", type=float, default=0.4, help="lowest cosine similarity to people of --exclude")
    add = parser.add_argument_group("other").add_argument
    add("--test", type=int, default=0, help="1: write only the report, no records")
    add("--report-only", dest="test", action="store_const", const=1, help="the same as --test 1")
    add("--mode", type=int, default=1, help="no effect, as in 2018")
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> list[str]:
    """The folders of --include; InputError if the flags contradict each other."""
    include = [folder.strip() for folder in args.include.split(",") if folder.strip()]
    if not include:
        raise InputError("--include is missing: list the data set folders, separated by commas")
    if not args.output:
        raise InputError("--output is missing: name the folder for the merged data set")
    if not args.model and args.param1 != 0:
        raise InputError(
            f"--param1 {args.param1:g} needs a model to find duplicates: pass --model "
            "prefix,epoch, or --param1 0 to merge without comparing"
        )
    if not args.model and args.exclude:
        raise InputError("--exclude needs a model to compare people: pass --model prefix,epoch")
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: expected at least 1")
    real = [os.path.realpath(folder) for folder in include]
    if os.path.realpath(args.output) in real:
        raise InputError(f"--output {args.output} is also in --include: choose another folder")
    if len(set(real)) < len(real):
        raise InputError(f"--include {args.include} lists a folder twice: list each folder once")
    check_output_folder(args.output, "--output")
    return include


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    include = check_args(args)
    with only_writer(args.output, "--output"):
        sizes = (args.batch_size, (args.param1, args.param2), args.test)
        merge(include, args.exclude, args.output, args.model, *sizes)


if __name__ == "__main__":
    run_command(main)
