"""Keeps some people, or some photos of all, out of training and makes verification pairs of them.

    python -m src.data.hold_out all.lst --output work --pairs work/heldout.txt --people 0.1
    python -m src.data.hold_out all.lst --output work --pairs work/heldout.txt --photos 0.2

Reads a list (`1 <tab> path <tab> label`). Writes `OUTPUT/part_1/train.lst`, … with labels
renumbered from 0, each with a `property` file next to it, and pairs of photos of the people kept
out, lines `path <tab> path <tab> 1 or 0`, for `src.data.lfw2pack --pairs`.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import os
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from src.common.arguments import (
    add_seed_argument,
    make_parser,
    parse_image_size,
    positive_int,
    resolve_arguments,
)
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.writable import check_output_file, check_output_folder
from src.data.pairs import write_pairs
from src.data.training_lists import read_training_lines
from src.formats.lists import format_aligned_line
from src.formats.property import write_property

People = Mapping[int, Sequence[str]]
"""The paths of each person's photos, by label."""


def read_people(path: str) -> People:
    """The photos in a list of aligned faces, by label, both in list order.

    Raises
    ------
    InputError
        A line is malformed, has a negative label, or is an unaligned photo; the message gives file
        and line.
    """
    people: dict[int, list[str]] = {}
    for number, _, (photo, label, _, _, aligned) in read_training_lines(path):
        if not aligned:
            raise InputError(
                f"{path}: line {number} is an unaligned photo; align the photos "
                "(python -m src.align.align_megaface), then list the faces"
            )
        people.setdefault(label, []).append(photo)
    return people


def choose_heldout(people: People, share: float, random: np.random.RandomState) -> list[int]:
    """Labels of the people to keep out of training: at least two, each with two photos or more.

    Parameters
    ----------
    share
        Of all people, 0 to 1.

    Raises
    ------
    InputError
        There are too few people.
    """
    candidates = sorted(label for label, photos in people.items() if len(photos) > 1)
    wanted = max(2, round(share * len(people)))
    if len(candidates) < wanted or len(people) - wanted < 2:
        raise InputError(
            f"cannot keep {wanted} of {len(people)} people out of training: {len(candidates)} have "
            "two photos or more, and at least 2 people must remain; add people or lower --people"
        )
    chosen = random.choice(len(candidates), wanted, replace=False)
    return sorted(candidates[index] for index in chosen)


def divide_photos(
    people: People, share: float, random: np.random.RandomState
) -> tuple[People, People]:
    """(photos to train on, photos held out) of each person, both in list order.

    Parameters
    ----------
    share
        Of each person's photos, 0 to 1; at least one remains to train on.

    Raises
    ------
    InputError
        Fewer than two people have a photo to hold out, or nobody has two.
    """
    training, heldout = {}, {}
    for label, photos in people.items():
        count = min(round(share * len(photos)), len(photos) - 1)
        chosen = set(random.choice(len(photos), count, replace=False).tolist())
        training[label] = [p for place, p in enumerate(photos) if place not in chosen]
        if chosen:
            heldout[label] = [photos[place] for place in sorted(chosen)]
    if len(heldout) < 2 or max(map(len, heldout.values())) < 2:
        raise InputError(
            f"holding out {share:g} of each person's photos leaves no pairs of both kinds: "
            f"{len(heldout)} people have photos to hold out; add photos or raise --photos"
        )
    return training, heldout


def make_pairs(
    people: People, labels: Sequence[int], most: int, random: np.random.RandomState
) -> list[tuple[str, str, bool]]:
    """Verification pairs (path, path, same), alternately same and different, equally many of each.

    They alternate so that each contiguous fold contains both kinds.

    Parameters
    ----------
    labels
        The people to pair.
    most
        Largest number of pairs of each kind.
    """
    same = [pair for label in labels for pair in combinations(people[label], 2)]
    random.shuffle(same)
    same = same[:most]
    # Drawn until there are as many as same pairs, or no other pair exists.
    photos = {label: len(set(people[label])) for label in labels}  # a list may name one twice
    available = sum(photos[a] * photos[b] for a, b in combinations(labels, 2))
    drawn: set[tuple[str, str]] = set()
    while len(drawn) < min(len(same), available):
        a, b = sorted(random.choice(len(labels), 2, replace=False))
        first, second = people[labels[a]], people[labels[b]]
        drawn.add((first[random.randint(len(first))], second[random.randint(len(second))]))
    different = sorted(drawn)
    random.shuffle(different)
    same = same[: len(different)]
    pairs: list[tuple[str, str, bool]] = []
    for same_pair, different_pair in zip(same, different, strict=True):
        pairs += [(*same_pair, True), (*different_pair, False)]
    return pairs


def write_part(
    folder: str, people: People, labels: Sequence[int], image_size: Sequence[int]
) -> int:
    """Writes `train.lst` and `property` of some people; returns the number of photos.

    Parameters
    ----------
    labels
        In the list they become 0, 1, … in this order.
    image_size
        Height, width for `property`.
    """
    photos = 0
    path = os.path.join(folder, "train.lst")
    with whole_file(path, "w", errors="surrogateescape") as file:
        for new_label, label in enumerate(labels):
            for photo in people[label]:
                file.write(format_aligned_line(photo, new_label) + "\n")
            photos += len(people[label])
    write_property(os.path.join(folder, "property"), len(labels), image_size)
    return photos


def hold_out(
    list_path: str,
    output: str,
    pairs_path: str,
    *,
    share: float,
    of_photos: bool,
    most_pairs: int,
    parts: int,
    image_size: Sequence[int],
    seed: int | None,
) -> None:
    """Splits a list into training parts and held-out pairs; prints the counts of each.

    Parameters
    ----------
    share
        Of the people, or if `of_photos` of each person's photos.
    """
    people = heldout_photos = read_people(list_path)
    random = np.random.RandomState(seed)
    if of_photos:
        people, heldout_photos = divide_photos(people, share, random)
        heldout, training = list(heldout_photos), list(people)
    else:
        heldout = choose_heldout(people, share, random)
        training = [label for label in people if label not in set(heldout)]
    pairs = make_pairs(heldout_photos, heldout, most_pairs, random)
    if parts > len(training):
        raise InputError(f"--parts {parts}: only {len(training)} people are left to train on")
    for part in range(parts):
        labels = training[part::parts]
        folder = os.path.join(output, f"part_{part + 1}")
        photos = write_part(folder, people, labels, image_size)
        print(f"{folder}: {photos} images of {len(labels)} people")
    write_pairs(pairs_path, pairs)
    photos = sum(len(heldout_photos[label]) for label in heldout)
    print(f"{pairs_path}: {len(pairs)} pairs of {len(heldout)} people ({photos} images) held out")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("list", help="list of aligned photos, as glint2lst writes it")
    add("--output", required=True, help="folder for part_1, part_2, …")
    add("--pairs", required=True, help="file for the pairs")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--people", type=float, default=0.1, help="share of the people to keep out of training"
    )
    kinds.add_argument(
        "--photos",
        type=float,
        help="instead of people, keep this share of each person's photos out of training",
    )
    add("--most-pairs", type=positive_int, default=3000, help="largest number of each kind of pair")
    add("--parts", type=positive_int, default=1, help="training sets to divide the others into")
    add("--image-size", default="112,112", help="height,width for property")
    add_seed_argument(parser)
    args = parser.parse_args(argv)
    for name in ("people", "photos"):
        share = getattr(args, name)
        if share is not None and not 0 < share < 1:
            parser.error(f"--{name} {share:g}: expected a share between 0 and 1, e.g. 0.1")
    return args


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    check_output_folder(args.output, "--output")
    check_output_file(args.pairs, "--pairs")
    hold_out(
        args.list,
        args.output,
        args.pairs,
        share=args.people if args.photos is None else args.photos,
        of_photos=args.photos is not None,
        most_pairs=args.most_pairs,
        parts=args.parts,
        image_size=parse_image_size(args.image_size),
        seed=args.seed,
    )


if __name__ == "__main__":
    run_command(main)
