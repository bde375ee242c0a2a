"""Verification of templates, which are several pictures of a person, as in IJB-A, IJB-B and IJB-C.

    python -m src.embed --input ijbc/loose_crop --align --model models/y1/model,12 --output ijbc.npy
    python -m src.eval.templates --embeddings ijbc.npy --templates ijbc_face_tid_mid.txt \
        --pairs ijbc_template_pair_label.txt

prints the true accept rates at false accept rates from 1e-6 to 1e-1. The lines of `--templates` are
`picture template media`, those of `--pairs` `template template 0|1`. The embedding of a template is
the sum over its media (a photo, or the frames of a video) of the mean embedding of the medium's
pictures, divided by its length.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import json
import logging
import os
import warnings
from collections.abc import Sequence

import numpy as np

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.text_files import read_lines
from src.common.writable import check_output_file
from src.eval.curves import rate_thresholds
from src.formats.embedding_files import Embeddings, read_embeddings

log = logging.getLogger(__name__)

FALSE_ACCEPT_RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
BLOCK = 1 << 16  # pairs


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--embeddings", required=True, metavar="FILE.npy", help="of src.embed")
    add("--templates", required=True, help="lines: picture template media")
    add("--pairs", required=True, help="lines: template template 0|1")
    add("--output", default="", metavar="FILE.json", help="file for the results")
    return parser.parse_args(argv)


def read_members(path: str, found: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """(rows (N,), template and medium (N, 2)) of the pictures of a list.

    Pictures without an embedding have row -1. A picture is found by its path, or else by its name.

    Raises
    ------
    InputError
        A line has another form, or none of the pictures is known.
    """
    places = {os.path.basename(name): row for row, name in enumerate(found.names)}
    places.update({name: row for row, name in enumerate(found.names)})
    rows, numbers = [], []
    for number, line in read_lines(path, "surrogateescape"):
        fields = line.rsplit(None, 2)
        if not fields:
            continue
        if len(fields) != 3 or not all(text.lstrip("-").isdecimal() for text in fields[1:]):
            raise InputError(
                f"{path}, line {number}: expected a picture and the numbers of its template and "
                f"medium, got {line.strip()!r}"
            )
        rows.append(places.get(fields[0], -1))
        numbers.append((int(fields[1]), int(fields[2])))
    members = np.array(rows, np.int64)
    if not len(members) or members.max() < 0:
        raise InputError(
            f"{path}: none of its pictures has an embedding: was another set embedded?"
        )
    valid = np.isfinite(found.rows[:, 0])
    members[members >= 0] = np.where(valid[members[members >= 0]], members[members >= 0], -1)
    return members, np.array(numbers, np.int64)


def template_embeddings(
    rows: np.ndarray, members: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of the templates (T,), ascending; their embeddings (T, D), of length 1).

    Templates without an embedding are left out.

    Parameters
    ----------
    rows
        (M, D)
    members, numbers
        As `read_members` returns them.
    """
    known = members >= 0
    members, numbers = members[known], numbers[known]
    order = np.lexsort((numbers[:, 1], numbers[:, 0]))
    members, numbers = members[order], numbers[order]
    media = np.flatnonzero(np.append(True, (numbers[1:] != numbers[:-1]).any(axis=1)))
    sizes = np.diff(np.append(media, len(members)))
    means = np.add.reduceat(rows[members], media, axis=0) / sizes[:, None]
    of_template = numbers[media, 0]
    templates, starts = np.unique(of_template, return_index=True)
    sums = np.add.reduceat(means, starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return templates, (sums / np.maximum(lengths, 1e-12)).astype(np.float32)


def read_pairs(path: str) -> np.ndarray:
    """The pairs, int64 (P, 3): two templates, and 1 for the same person.

    Raises
    ------
    InputError
        The file contains something else.
    """
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(file.read(), np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            numbers = np.empty(0, np.int64)
    if not len(numbers) or len(numbers) % 3 or not np.isin(numbers[2::3], (0, 1)).all():
        raise InputError(
            f"{path}: expected lines of two templates and 0 or 1, such as '11 24 1', with spaces"
        )
    return numbers.reshape(-1, 3)


def similarities(templates: np.ndarray, embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosines (P,), float32; NaN if a pair's template has no embedding."""
    scores = np.empty(len(pairs), np.float32)
    for begin in range(0, len(pairs), BLOCK):
        part = pairs[begin : begin + BLOCK, :2]
        places = np.minimum(np.searchsorted(templates, part), len(templates) - 1)
        cosine = np.einsum("pd,pd->p", embeddings[places[:, 0]], embeddings[places[:, 1]])
        known = (templates[places] == part).all(axis=1)
        scores[begin : begin + BLOCK] = np.where(known, cosine, np.nan)
    return scores


def accept_rates(
    scores: np.ndarray, same: np.ndarray, rates: Sequence[float] = FALSE_ACCEPT_RATES
) -> list[dict[str, float]]:
    """True accept rates, each with `far`, `tar` and `threshold`: pairs above it are accepted.

    With n different pairs, rates below 1 / n cannot be measured and are left out.

    Parameters
    ----------
    scores
        Cosines (P,); the higher, the more alike.
    same
        bool (P,), of both kinds.
    """
    return [
        {"far": far, "tar": float(np.mean(scores[same] > -distance)), "threshold": -distance}
        for far, distance in rate_thresholds(-scores[~same], rates)
    ]


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    if args.output:
        check_output_file(args.output, "--output")
    found = read_embeddings(args.embeddings)
    members, numbers = read_members(args.templates, found)
    pairs = read_pairs(args.pairs)
    templates, embeddings = template_embeddings(found.rows, members, numbers)
    scores = similarities(templates, embeddings, pairs)
    known, same = np.isfinite(scores), pairs[:, 2] == 1
    if (members < 0).any() or not known.all():
        log.warning(
            "%d of %d pictures have no embedding; %d of %d pairs are left out, because one of "
            "their templates has none",
            *((members < 0).sum(), len(members), (~known).sum(), len(pairs)),
        )
    scores, same = scores[known], same[known]
    if not same.any() or same.all():
        raise InputError(f"{args.pairs}: the rates need pairs of the same and of different people")
    print(f"{len(templates)} templates, {len(pairs)} pairs, {same.sum()} of the same person")
    rates = accept_rates(scores, same)
    for row in rates:
        print(f"TAR@FAR={row['far']:g}: {row['tar']:.5f} (cosine above {row['threshold']:.4f})")
    if args.output:
        with whole_file(args.output, "w") as file:
            json.dump({"templates": len(templates), "pairs": len(scores), "rates": rates}, file)


if __name__ == "__main__":
    run_command(main)
