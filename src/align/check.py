"""Checks whether faces were aligned as here, by looking for their landmarks again.

    python -m src.align.check aligned

takes a folder of aligned faces, a list, or a packed set (folder with `train.rec`). A network
expects eyes, nose and mouth where they were in its training set; faces that another program has
aligned can be shifted, larger or smaller, which costs some points of accuracy. The landmarks of a
sample of the faces are compared with the template: for a set aligned here, their mean is less than
2 pixels from it. Ends with status 1 if the set is aligned differently.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from src.align.choices import central_face
from src.align.detector import MtcnnDetector
from src.align.template import similarity_transform, template_for
from src.common.arguments import make_parser, positive_int, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.folders import reported_scan
from src.common.log import configure_logging, progress
from src.common.photos import decode_stored, read_photo
from src.common.text_files import read_lines
from src.formats.face_layout import open_face_records
from src.formats.lists import parse_lst_line

LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
SMALLEST_FACE = 0.4  # of the height of an aligned face
AT_ONCE = 16  # faces in which the detector looks together
# Pixels at a height of 112, size, degrees. Labeled Faces in the Wild aligned here: 0.3, 0.026, 0.1.
LARGEST_SHIFT, LARGEST_SCALING, LARGEST_TURN = 2.0, 0.06, 2.0
DIFFERENT = 1  # exit status
FEWEST = 10  # faces for a verdict


PICTURES = (".jpg", ".jpeg", ".png", ".bmp")

Value = TypeVar("Value")


class Deviation(NamedTuple):
    """How the landmarks of a sample of faces differ from the template.

    Attributes
    ----------
    errors
        float64 (N, 5, 2): x and y of each face's landmarks minus the template's, in pixels of a
        face 112 high.
    missed
        Number of faces in which the detector found none.
    unreadable
        Number of pictures that could not be read.
    """

    errors: np.ndarray
    missed: int
    unreadable: int

    def mean_placement(self) -> tuple[np.ndarray, float, float]:
        """(shift (2,) of the middle in pixels, scaling, turn in degrees) of the mean landmarks."""
        template = template_for((112, 112)).astype(np.float64)
        found = template + self.errors.mean(axis=0)
        matrix = similarity_transform(template, found)
        scaling = float(np.sqrt(np.linalg.det(matrix[:, :2])))
        turn = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        return found.mean(axis=0) - template.mean(axis=0), scaling, turn

    def as_here(self) -> bool:
        """Whether the faces were aligned to the same template."""
        shift, scaling, turn = self.mean_placement()
        return bool(
            np.linalg.norm(shift) <= LARGEST_SHIFT
            and abs(scaling - 1) <= LARGEST_SCALING
            and abs(turn) <= LARGEST_TURN
        )


def measure(faces: Iterator[np.ndarray | None], detector: MtcnnDetector) -> Deviation:
    """The deviation of aligned faces, uint8 (H, W, 3) RGB; None for one that cannot be read."""
    errors: list[np.ndarray] = []
    missed = unreadable = 0
    batch: list[np.ndarray] = []

    def look() -> int:
        found = detector.find(batch, [SMALLEST_FACE * face.shape[0] for face in batch])
        seen = [
            (face, each.landmark(central_face(each.boxes, face)))
            for face, each in zip(batch, found, strict=True)
            if len(each.boxes)
        ]
        for face, landmark in seen:
            height, width = face.shape[:2]
            errors.append((landmark - template_for((height, width))) * (112 / height))
        return len(batch) - len(seen)

    for face in faces:
        if face is None:
            unreadable += 1
            continue
        batch.append(face)
        if len(batch) == AT_ONCE:
            missed += look()
            batch = []
    missed += look()
    return Deviation(np.array(errors).reshape(-1, 5, 2), missed, unreadable)


# ---------------------------------------------------------------------------------- reading


def read_faces(source: str, count: int) -> Iterator[np.ndarray | None]:
    """Yields up to `count` faces, spread evenly over a folder, a list or a packed set."""
    if os.path.isfile(source):
        yield from _pictures(_spread(list(_listed_paths(source)), count))
    elif os.path.exists(os.path.join(source, "train.rec")):
        reader, layout = open_face_records(source)
        with contextlib.closing(reader):
            for number in progress(_spread(layout.image_ids, count), "checking", "face"):
                pixels = decode_stored(reader.read(number).content)
                yield None if pixels is None else pixels[..., ::-1]
    else:
        with reported_scan(source) as scan:
            names = [name for name in scan.files_below("") if name.lower().endswith(PICTURES)]
        if not names:
            raise InputError(f"{source}: no pictures ({', '.join(PICTURES)}) and no train.rec")
        yield from _pictures([os.path.join(source, name) for name in _spread(names, count)])


def _listed_paths(path: str) -> Iterator[str]:
    """Yields the photos in a list; InputError with file and line for another kind of file."""
    for number, line in read_lines(path, "surrogateescape"):
        if line.strip():
            try:
                yield parse_lst_line(line).image_path
            except InputError as error:
                raise InputError(f"{path}: line {number}: {error}") from None


def _spread(values: Sequence[Value], count: int) -> list[Value]:
    """Up to `count` of the values, at even distances."""
    count = min(count, len(values))
    return [values[len(values) * number // count] for number in range(count)]


def _pictures(paths: Sequence[str]) -> Iterator[np.ndarray | None]:
    for path in progress(paths, "checking", "face", total=len(paths)):
        try:
            yield read_photo(path)
        except (InputError, OSError):
            yield None


# ---------------------------------------------------------------------------------- the command


def print_deviation(deviation: Deviation) -> None:
    """Prints the distribution of the errors, and what it means."""
    distances = np.linalg.norm(deviation.errors, axis=2)
    print(
        f"{len(distances)} faces, {deviation.missed} in which none was found, "
        f"{deviation.unreadable} that cannot be read"
    )
    print(f"{'pixels':18s}{'median':>8s}{'90 %':>8s}{'99 %':>8s}{'mean x':>9s}{'mean y':>9s}")
    rows = [(name, distances[:, n], deviation.errors[:, n]) for n, name in enumerate(LANDMARKS)]
    rows.append(("all", distances.mean(axis=1), deviation.errors.mean(axis=1)))
    for name, lengths, errors in rows:
        spread = "".join(f"{np.percentile(lengths, part):8.2f}" for part in (50, 90, 99))
        print(f"{name:18s}{spread}" + "".join(f"{mean:+9.2f}" for mean in errors.mean(axis=0)))
    shift, scaling, turn = deviation.mean_placement()
    where = (
        f"shift ({shift[0]:+.1f}, {shift[1]:+.1f}) pixels, size × {scaling:.3f}, turn {turn:+.1f}°"
    )
    verdict = "aligned as here" if deviation.as_here() else "ALIGNED DIFFERENTLY"
    print(f"{verdict}: mean landmarks against the template, for a height of 112: {where}")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a Namespace."""
    parser = make_parser(__doc__)
    parser.add_argument("aligned", metavar="ALIGNED", help="folder, list, or packed set")
    parser.add_argument("--count", type=positive_int, default=500, help="faces to look at")
    parser.add_argument("--det-model", metavar="DIR", help="folder with det1.npy, …")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; returns 1 if the faces are aligned differently."""
    configure_logging()
    args = resolve_arguments(parse_arguments, args)
    if not os.path.exists(args.aligned):
        raise FileNotFoundError(f"{args.aligned}: there is no such folder or list")
    detector = MtcnnDetector.create(args.det_model)
    deviation = measure(read_faces(args.aligned, args.count), detector)
    if len(deviation.errors) < FEWEST:
        raise InputError(
            f"{args.aligned}: faces were found in {len(deviation.errors)} pictures "
            f"({deviation.missed} without, {deviation.unreadable} unreadable); at least {FEWEST} "
            "are needed: are these aligned faces?"
        )
    print_deviation(deviation)
    return 0 if deviation.as_here() else DIFFERENT


if __name__ == "__main__":
    run_command(main)
