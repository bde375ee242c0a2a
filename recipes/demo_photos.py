"""Makes a small folder of real photographs, `<person>/<photo>`, from what PyPI packages carry.

    python recipes/demo_photos.py --output work/photos

The sources are insightface's group photograph of six people and its picture of Tom Hanks,
face_recognition's test photographs, and scikit-image's astronaut: ten people. The first two
packages are downloaded as files and unpacked, not installed. Every person's photographs are varied
with a fixed seed (crop, rotation, light, JPEG quality), because a set needs many photos a person
before anything trains on it. Figures reached on such a set show that the way works, nothing else.

A few awkward files are planted as well: every real folder has some.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import numpy as np
from PIL import Image, ImageEnhance
from skimage import data

from src.align.detect_face import create_mtcnn, detect_face
from src.common.errors import InputError, run_command
from src.common.log import configure_logging, progress
from src.common.mxnet_backend import mx
from src.common.output_files import whole_file

GROUP_PHOTO = "insightface/data/images/t1.jpg"
TOM_HANKS = "insightface/data/images/Tom_Hanks_54745.png"
TEST_IMAGES = "face_recognition-1.3.0/tests/test_images/"
NAMED_PHOTOS = {
    "joe biden": ("biden.jpg",),
    "barack_obama": ("obama.jpg", "obama2.jpg", "obama3.jpg"),
}
NO_WHOLE_FACE = TEST_IMAGES + "obama_partial_face2.jpg"

PORTRAIT_SIZE = 280  # pixels; the face is then well above the detector's smallest, 100
FACE_SHARE = 2.2  # side of a portrait, in sides of its face


def download_packages(folder):
    """Downloads the two packages' files into `folder`; returns their paths."""
    # face_recognition's wheel has no photographs, its source archive has.
    source = ["--no-binary", "face_recognition"]
    for requirement, *more in (["insightface==2.1"], ["face_recognition==1.3.0", *source]):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder]
        command += ["--disable-pip-version-check", requirement, *more]
        if subprocess.run(command, check=False).returncode:
            raise InputError(
                f"pip could not download {requirement}; the demonstration's photos come from "
                "there. Use your own: PHOTOS=folder bash recipes/quickstart.sh"
            )
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def read_members(path):
    """Content of each file in a wheel or source archive, as {name: bytes}."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}


def source_photos(members):
    """The people's photographs as {person: [image (H, W, 3) RGB]}, and the group photograph."""

    def decode(name):
        return np.array(Image.open(io.BytesIO(members[name])).convert("RGB"))

    people = {person: [decode(TEST_IMAGES + name) for name in names]
              for person, names in NAMED_PHOTOS.items()}  # fmt: skip
    # The picture of Tom Hanks is a face of 112×112; the detector's smallest face is 100 pixels.
    small = Image.open(io.BytesIO(members[TOM_HANKS])).convert("RGB")
    canvas = np.full((500, 500, 3), 128, np.uint8)
    canvas[82:418, 82:418] = np.array(small.resize((336, 336), Image.BICUBIC))
    people["汤姆_hanks"] = [canvas]
    people["eileen_collins"] = [data.astronaut()]
    return people, decode(GROUP_PHOTO)


def find_faces(image, detector, smallest=40):
    """Boxes (N, 5) of the faces in an RGB image, from left to right."""
    boxes, _ = detect_face(image, smallest, *detector, [0.6, 0.7, 0.7], 0.709)
    return boxes[np.argsort(boxes[:, 0])]


def cut_portrait(image, box, random, jitter):
    """A square portrait (280, 280, 3) around a face box, varied if `jitter` is 1, plain if 0."""
    centre = (box[:2] + box[2:4]) / 2
    side = FACE_SHARE * max(box[2] - box[0], box[3] - box[1])
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
    portrait = Image.fromarray(image).transform(size, Image.AFFINE, matrix, Image.BICUBIC)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        portrait = enhancer(portrait).enhance(1 + jitter * random.uniform(-0.3, 0.3))
    return portrait


def people_portraits(people, group, detector):
    """{person: [(image, box)]}: the largest face of each photograph, each face of the group."""
    faces = {}
    for person, images in people.items():
        faces[person] = []
        for image in images:
            boxes = find_faces(image, detector)
            if not len(boxes):
                raise InputError(f"no face was found in the photograph of {person}")
            largest = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
            faces[person].append((image, largest[:4]))
    for number, box in enumerate(find_faces(group, detector), 1):
        faces[f"group photo {number}"] = [(group, box[:4])]
    return faces


def plant_awkward_files(output, no_whole_face):
    """Adds what real folders hold besides photos, so that the demonstration shows how it ends."""
    person = os.path.join(output, "barack_obama")
    with whole_file(os.path.join(person, "partial face.jpg")) as file:
        file.write(no_whole_face)
    with whole_file(os.path.join(person, "no face.png")) as file:
        Image.fromarray(data.coffee()).save(file, "PNG")
    with whole_file(os.path.join(person, "notes.txt"), "w") as file:
        file.write("not a photograph\n")
    with whole_file(os.path.join(person, "truncated.jpg")) as file:
        file.write(no_whole_face[:2000])
    os.makedirs(os.path.join(output, "nobody"), exist_ok=True)


def make_photos(output, photos_per_person, seed):
    """Writes the folder; returns the number of people and of photographs."""
    with tempfile.TemporaryDirectory() as folder:
        members = {}
        for path in download_packages(folder):
            members.update(read_members(path))
    people, group = source_photos(members)
    faces = people_portraits(people, group, create_mtcnn(mx.cpu(), None))
    random = np.random.RandomState(seed)
    for person in progress(sorted(faces), "varying photos", "person"):
        for number in range(photos_per_person):
            image, box = faces[person][number % len(faces[person])]
            portrait = cut_portrait(image, box, random, jitter=float(number >= len(faces[person])))
            with whole_file(os.path.join(output, person, f"{person} {number:03d}.jpg")) as file:
                portrait.save(file, "JPEG", quality=int(random.randint(40, 96)))
    plant_awkward_files(output, members[NO_WHOLE_FACE])
    return len(faces), len(faces) * photos_per_person


def parse_args(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, help="folder to write <person>/<photo> into")
    parser.add_argument("--photos-per-person", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv=None):
    """The command."""
    args = parse_args(argv)
    configure_logging()
    people, photos = make_photos(args.output, args.photos_per_person, args.seed)
    print(f"{photos} photographs of {people} people in {args.output}")


if __name__ == "__main__":
    run_command(main)
