"""Keeps some people out of training and makes verification pairs of them.

    python -m src.data.hold_out all.lst --output work --pairs work/heldout.txt --people 0.1

Reads a list (`1 <tab> path <tab> label`), writes `OUTPUT/part_1/train.lst` … with the labels
numbered anew from 0 and a `property` beside each, and pairs of the held-out people's photos, a line
`path <tab> path <tab> 1 or 0`, for `src.data.lfw2pack --pairs`.
"""

import argparse
import os
from itertools import combinations

import numpy as np

from src.common.arguments import add_seed_argument, positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_image import write_property
from src.common.face_preprocess import format_aligned_line, parse_image_size
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.data.packing import read_training_lines


def read_people(path):
    """The photos of each person of an aligned list, {label: [path]}, in list order.

    Raises
    ------
    InputError
        For a malformed, unlabelled or unaligned line, naming file and line.
    """
    people = {}
    for number, _, (photo, label, _, _, aligned) in read_training_lines(path):
        if not aligned:
            raise InputError(
                f"{path}: line {number} is an unaligned photo; align first "
                "(python -m src.align.align_megaface), then list"
            )
        people.setdefault(label, []).append(photo)
    return people


def choose_heldout(people, share, random):
    """Labels of the people to keep out of training: at least two, each with two photos or more.

    Parameters
    ----------
    people : dict of label to list of str
    share : float
        Share of all people, 0 to 1.
    random : RandomState
    """
    candidates = sorted(label for label, photos in people.items() if len(photos) > 1)
    wanted = max(2, round(share * len(people)))
    if len(candidates) < wanted or len(people) - wanted < 2:
        raise InputError(
            f"{len(people)} people, {len(candidates)} of them with two photos or more, are too few "
            f"to keep {wanted} out of training: at least 2 people must stay on either side"
        )
    chosen = random.choice(len(candidates), wanted, replace=False)
    return sorted(candidates[index] for index in chosen)


def make_pairs(people, labels, most, random):
    """Verification pairs (path, path, same), same and different ones in turn, as many of each.

    In turn, so that any contiguous fold holds both kinds.

    Parameters
    ----------
    people : dict of label to list of str
    labels : list
        The people to pair.
    most : int
        Largest number of pairs of each kind.
    random : RandomState
    """
    same = [pair for label in labels for pair in combinations(people[label], 2)]
    random.shuffle(same)
    same = same[:most]
    # Distinct pairs only: there are at least as many different pairs as draws needed, or all.
    photos = {label: len(set(people[label])) for label in labels}  # a list may name one twice
    available = sum(photos[a] * photos[b] for a, b in combinations(labels, 2))
    different = set()
    while len(different) < min(len(same), available):
        a, b = sorted(random.choice(len(labels), 2, replace=False))
        first, second = people[labels[a]], people[labels[b]]
        different.add((first[random.randint(len(first))], second[random.randint(len(second))]))
    different = sorted(different)
    random.shuffle(different)
    same = same[: len(different)]
    pairs = []
    for same_pair, different_pair in zip(same, different, strict=True):
        pairs += [(*same_pair, True), (*different_pair, False)]
    return pairs


def write_part(folder, people, labels, image_size):
    """Writes `train.lst`, labels 0, 1, … in the order given, and `property`; returns photos."""
    photos = 0
    path = os.path.join(folder, "train.lst")
    with whole_file(path, "w", errors="surrogateescape") as file:
        for new_label, label in enumerate(labels):
            for photo in people[label]:
                file.write(format_aligned_line(photo, new_label) + "\n")
            photos += len(people[label])
    write_property(os.path.join(folder, "property"), len(labels), image_size)
    return photos


def hold_out(list_path, output, pairs_path, *, share, most_pairs, parts, image_size, seed):
    """Splits a list into training parts and held-out pairs; prints what went where."""
    people = read_people(list_path)
    random = np.random.RandomState(seed)
    heldout = choose_heldout(people, share, random)
    pairs = make_pairs(people, heldout, most_pairs, random)
    training = [label for label in people if label not in set(heldout)]
    if parts > len(training):
        raise InputError(f"--parts {parts}: only {len(training)} people are left to train on")
    for part in range(parts):
        labels = training[part::parts]
        folder = os.path.join(output, f"part_{part + 1}")
        photos = write_part(folder, people, labels, image_size)
        print(f"{folder}: {photos} images of {len(labels)} people")
    with whole_file(pairs_path, "w", errors="surrogateescape") as file:
        file.writelines(f"{first}\t{second}\t{int(same)}\n" for first, second, same in pairs)
    photos = sum(len(people[label]) for label in heldout)
    print(f"{pairs_path}: {len(pairs)} pairs of {len(heldout)} people ({photos} images) held out")


def parse_args(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", help="list of aligned photos, as glint2lst writes it")
    parser.add_argument("--output", required=True, help="folder for part_1, part_2, …")
    parser.add_argument("--pairs", required=True, help="file for the pairs")
    parser.add_argument("--people", type=float, default=0.1, help="share kept out (default 0.1)")
    parser.add_argument(
        "--most-pairs", type=positive_int, default=3000, help="of each kind (default 3000)"
    )
    parser.add_argument(
        "--parts", type=positive_int, default=1, help="sets to deal the people into"
    )
    parser.add_argument("--image-size", default="112,112", help="height,width for property")
    add_seed_argument(parser)
    args = parser.parse_args(argv)
    if not 0 < args.people < 1:
        parser.error("--people is a share between 0 and 1, e.g. 0.1")
    return args


def main(args=None):
    """The command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    image_size = parse_image_size(args.image_size)
    hold_out(
        args.list, args.output, args.pairs, share=args.people, most_pairs=args.most_pairs,
        parts=args.parts, image_size=image_size, seed=args.seed,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
