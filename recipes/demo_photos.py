"""Writes a small folder of real photos, `<person>/<photo>`, taken from PyPI packages.

    python recipes/demo_photos.py --output work/photos

The sources are insightface's group photo of six people and its picture of Tom Hanks,
face_recognition's test photos, and scikit-image's astronaut: ten people. insightface and
face_recognition are downloaded and unpacked, not installed. Training needs many photos per person,
so each photo is varied (crop, rotation, brightness, contrast, colour, JPEG quality). Results on
such a set only show that the pipeline runs.

A few bad files are added as well, because every real folder has some.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance
from skimage import data

from src.align.detector import Detector, MtcnnDetector
from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging, progress
from src.common.output_files import whole_file

GROUP_PHOTO = "insightface/data/images/t1.jpg"
TOM_HANKS = "insightface/data/images/Tom_Hanks_54745.png"
TEST_IMAGES = "face_recognition-1.3.0/tests/test_images/"
NAMED_PHOTOS = {
    "joe biden": ("biden.jpg",),
    "barack_obama": ("obama.jpg", "obama2.jpg", "obama3.jpg"),
}
PARTIAL_FACE = TEST_IMAGES + "obama_partial_face2.jpg"

SMALLEST_FACE = 40  # pixels, in the source photos
PORTRAIT_SIZE = 280  # pixels; makes its face larger than 100, the minimum of step 2
PORTRAIT_TO_FACE = 2.2  # side of a portrait relative to the longer side of its face box


def download_packages(folder: str) -> list[str]:
    """Downloads the two packages into a folder; returns the paths of the files.

    Raises
    ------
    InputError
        pip cannot download them.
    """
    # face_recognition's photos are only in its source archive, not in its wheel.
    source = ["--no-binary", "face_recognition"]
    for requirement, *more in (["insightface==2.1"], ["face_recognition==1.3.0", *source]):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder]
        command += ["--disable-pip-version-check", requirement, *more]
        if subprocess.run(command, check=False).returncode:
            raise InputError(
                f"pip could not download {requirement}, which contains the demonstration photos; "
                "use your own: PHOTOS=folder bash recipes/quickstart.sh"
            )
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def read_members(path: str) -> dict[str, bytes]:
    """Name → content of each file in a wheel or source archive."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        files = [(member.name, archive.extractfile(member)) for member in members]
        return {name: file.read() for name, file in files if file is not None}


def load_sources(
    members: Mapping[str, bytes],
) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """(person → photos, group photo), each photo uint8 (H, W, 3) RGB.

    Parameters
    ----------
    members
        Of both packages, from `read_members`.
    """

    def decode(name: str) -> np.ndarray:
        return np.array(Image.open(io.BytesIO(members[name])).convert("RGB"))

    people = {person: [decode(TEST_IMAGES + name) for name in names]
              for person, names in NAMED_PHOTOS.items()}  # fmt: skip
    # The picture of Tom Hanks is a face of only 112×112 pixels: enlarge it and add a margin.
    small = Image.open(io.BytesIO(members[TOM_HANKS])).convert("RGB")
    canvas = np.full((500, 500, 3), 128, np.uint8)
    canvas[82:418, 82:418] = np.array(small.resize((336, 336), Image.Resampling.BICUBIC))
    people["汤姆_hanks"] = [canvas]
    people["eileen_collins"] = [data.astronaut()]
    return people, decode(GROUP_PHOTO)


def find_faces(image: np.ndarray, detector: Detector) -> np.ndarray:
    """Boxes (N, 5) of the faces in a photo, uint8 (H, W, 3) RGB, from left to right."""
    ((boxes, _),) = detector.find([image], [SMALLEST_FACE])
    return boxes[np.argsort(boxes[:, 0])]


def cut_portrait(
    image: np.ndarray, box: np.ndarray, random: np.random.RandomState, jitter: float
) -> Image.Image:
    """A square portrait (280×280, RGB) around a face.

    Parameters
    ----------
    image
        uint8 (H, W, 3) RGB
    box
        (4,) x1 y1 x2 y2 of the face
    jitter
        Strength of the random variation: 0 none, 1 full.
    """
    centre = (box[:2] + box[2:4]) / 2
    side = PORTRAIT_TO_FACE * max(box[2] - box[0], box[3] - box[1])
    side *= 1 + jitter * random.uniform(-0.15, 0.15)
    centre = centre + jitter * random.uniform(-0.06, 0.06, 2) * side
    angle = np.deg2rad(jitter * random.uniform(-15, 15))
    # Pillow's affine transform maps output pixels to input pixels.
    scale = side / PORTRAIT_SIZE
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    half = PORTRAIT_SIZE / 2
    matrix = (
        cosine, -sine, centre[0] - cosine * half + sine * half,
        sine, cosine, centre[1] - sine * half - cosine * half,
    )  # fmt: skip
    size = (PORTRAIT_SIZE, PORTRAIT_SIZE)
    portrait = Image.fromarray(image).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        portrait = enhancer(portrait).enhance(1 + jitter * random.uniform(-0.3, 0.3))
    return portrait


def locate_faces(
    people: Mapping[str, Sequence[np.ndarray]], group: np.ndarray, detector: Detector
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Person → (photo, box (4,)) of the largest face in each photo; each group face is a person.

    Raises
    ------
    InputError
        No face is found in one of the photos of `people`.
    """
    faces: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for person, images in people.items():
        faces[person] = []
        for image in images:
            boxes = find_faces(image, detector)
            if not len(boxes):
                raise InputError(f"no face was found in a photo of {person}")
            largest = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
            faces[person].append((image, largest[:4]))
    for number, box in enumerate(find_faces(group, detector), 1):
        faces[f"group photo {number}"] = [(group, box[:4])]
    return faces


def add_bad_files(output: str, partial_face: bytes) -> None:
    """Adds bad files like those in real folders, to show how each of them is handled.

    Parameters
    ----------
    partial_face
        A JPEG file that shows only part of a face.
    """
    person = os.path.join(output, "barack_obama")
    with whole_file(os.path.join(person, "partial face.jpg")) as file:
        file.write(partial_face)
    with whole_file(os.path.join(person, "no face.png")) as file:
        Image.fromarray(data.coffee()).save(file, "PNG")
    with whole_file(os.path.join(person, "notes.txt"), "w") as file:
        file.write("not a photograph\n")
    with whole_file(os.path.join(person, "truncated.jpg")) as file:
        file.write(partial_face[:2000])
    os.makedirs(os.path.join(output, "nobody"), exist_ok=True)


def make_photos(output: str, photos_per_person: int, seed: int) -> tuple[int, int]:
    """Writes the folder; returns the number of people and of photos."""
    members: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in download_packages(folder):
            members.update(read_members(path))
    people, group = load_sources(members)
    faces = locate_faces(people, group, MtcnnDetector.create())
    random = np.random.RandomState(seed)
    for person in progress(sorted(faces), "varying photos", "person"):
        for number in range(photos_per_person):
            image, box = faces[person][number % len(faces[person])]
            portrait = cut_portrait(image, box, random, jitter=float(number >= len(faces[person])))
            with whole_file(os.path.join(output, person, f"{person} {number:03d}.jpg")) as file:
                portrait.save(file, "JPEG", quality=int(random.randint(40, 96)))
    add_bad_files(output, members[PARTIAL_FACE])
    return len(faces), len(faces) * photos_per_person


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", required=True, help="folder to write <person>/<photo> to")
    parser.add_argument("--photos-per-person", type=int, default=40, help="photos of each person")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random variations")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    args = resolve_arguments(parse_args, args)
    configure_logging()
    people, photos = make_photos(args.output, args.photos_per_person, args.seed)
    print(f"{photos} photographs of {people} people in {args.output}")


if __name__ == "__main__":
    run_command(main)
