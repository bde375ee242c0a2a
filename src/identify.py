"""Measures identification: are the people of probe photos found in a gallery?

    python -m src.identify --gallery gallery --probe probes --model models/y1/model,12 --align

prints how often the right person comes first or among the first five, and how often a person is
named correctly where strangers are named at a given rate (TPIR at FPIR). Gallery and probes are
folders with a folder per person, or `.lst`, `.rec`; or the .npy of `src.embed`, which continues a
stopped run: use that for many photos. A person in the gallery is the mean of the photos'
embeddings. Probes of people who are not in the gallery are the strangers.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Sequence

import numpy as np

from src import embed
from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.writable import check_output_file
from src.deploy.sources import open_source
from src.eval.identification import (
    UNMATED,
    Identification,
    mean_embeddings,
    score_probes,
    summarize,
)
from src.formats.embedding_files import read_embeddings

log = logging.getLogger(__name__)

EMBEDDING_FLAGS = (
    *("model", "flip", "image_size", "align", "face", "min_size", "batch_size", "threads", "gpu"),
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--gallery", required=True, metavar="PATH", help="folder, .lst, .rec, or .npy of src.embed")
    add("--probe", required=True, metavar="PATH", help="as --gallery")
    add("--output", default="", metavar="FILE.json", help="file for the results")
    group = parser.add_argument_group("embedding", "no effect on .npy")
    group.add_argument(
        "--model", default="", help="prefix,epoch, or prefix for the newest checkpoint"
    )
    embed.add_embedding_flags(group)
    args = parser.parse_args(argv)
    if not args.model and not all(path.endswith(".npy") for path in (args.gallery, args.probe)):
        parser.error("--model is needed to embed pictures: prefix,epoch")
    return args


def labelled_embeddings(args: argparse.Namespace, path: str) -> tuple[np.ndarray, np.ndarray]:
    """(embeddings (N, D), labels (N,)) of the pictures that have one.

    Raises
    ------
    InputError
        A picture has no label, or no picture has an embedding.
    """
    if path.endswith(".npy"):
        rows, names, labels = read_embeddings(path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "embeddings.npy")
            settings = {name: getattr(args, name) for name in EMBEDDING_FLAGS}
            embed.write_embeddings(argparse.Namespace(input=path, output=output, **settings))
            rows, names, labels = read_embeddings(output)
            rows = np.array(rows)
    found = np.isfinite(rows[:, 0])
    if not found.any():
        raise InputError(f"{path}: no picture has an embedding")
    unnamed = [
        name
        for name, label in zip(np.array(names)[found], np.array(labels)[found], strict=True)
        if not label
    ]
    if unnamed:
        raise InputError(
            f"{path}: {len(unnamed)} pictures have no label, the first is {unnamed[0]}: put each "
            "person's pictures into a folder of their own"
        )
    if not found.all() and path.endswith(".npy"):  # else `embed` has said so
        log.warning("%s: %d pictures without an embedding are left out", path, (~found).sum())
    return rows[found], np.array(labels)[found]


def measure(
    gallery: tuple[np.ndarray, np.ndarray], probes: tuple[np.ndarray, np.ndarray]
) -> Identification:
    """The rates, from embeddings and labels of gallery and probes."""
    people, groups = np.unique(gallery[1], return_inverse=True)
    means = mean_embeddings(gallery[0], groups, len(people)).astype(np.float32)
    places = np.minimum(np.searchsorted(people, probes[1]), len(people) - 1)
    mates = np.where(people[places] == probes[1], places, UNMATED)
    return summarize(len(people), score_probes(means, probes[0], mates))


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    if args.output:
        check_output_file(args.output, "--output")
    for path in (args.gallery, args.probe):
        if not path.endswith(".npy"):
            open_source(path)  # before the work
    gallery, probes = (labelled_embeddings(args, path) for path in (args.gallery, args.probe))
    if gallery[0].shape[1] != probes[0].shape[1]:
        raise InputError(
            f"embeddings of {gallery[0].shape[1]} and {probes[0].shape[1]} numbers: use one model "
            "for --gallery and --probe"
        )
    found = measure(gallery, probes)
    print(f"{found.people} people; probes: {found.mated} mated, {found.unmated} of strangers")
    for rank, share in found.ranks.items():
        print(f"rank-{rank}: {share:.5f}")
    for row in found.rates:
        print(f"TPIR@FPIR={row['fpir']:g}: {row['tpir']:.5f} (cosine above {row['threshold']:.4f})")
    if args.output:
        with whole_file(args.output, "w") as file:
            json.dump(found._asdict(), file, indent=1)


if __name__ == "__main__":
    run_command(main)
