"""Speed of alignment against an earlier commit, two workers, and the package `mtcnn`.

    python benchmarks/align.py --photos ../shared/faces/lfw --count 400

Aligning: photos are read, decoded, aligned and written, in a process that has aligned some before;
one worker is pinned to one core. Detecting: photos are in memory. The package `mtcnn` is installed
with TensorFlow in an environment of its own (280 MB are downloaded); `--no-mtcnn` leaves it out.
The large photos are groups of faces from the others. Without --photos, one portrait in many sizes
is used.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import cv2
import harness
import numpy as np
from easydict import EasyDict

from src.align import alignment
from src.align.jpeg_2018 import read_photo_2018

BEFORE = "3e2291c"  # one photo after the other
SMALLEST, THRESHOLDS, FACTOR = 100, (0.6, 0.7, 0.7), 0.709
LARGE_SIZE, LARGE_COUNT, SMALLEST_IN_LARGE = (886, 1280), 8, 50
WARM_UP = 40  # photos
MTCNN_REQUIREMENTS = ("mtcnn==1.0.0", "tensorflow-cpu", "opencv-python-headless")
MTCNN_BATCH = 16  # as many as are detected together here
MTCNN_SCRIPT = """
import json, sys, time
import numpy as np, tensorflow as tf
from mtcnn import MTCNN
threads, batch, smallest, *thresholds = json.loads(sys.argv[2])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
photos = np.load(sys.argv[1])
photos = [photos[name] for name in photos.files]
detector = MTCNN(stages="face_and_landmarks_detection", device="CPU:0")

def detect(count):
    for start in range(0, count, batch):
        detector.detect_faces(
            photos[start : start + batch], min_face_size=smallest, scale_factor=thresholds[3],
            threshold_pnet=thresholds[0], threshold_rnet=thresholds[1],
            threshold_onet=thresholds[2],
        )

detect(len(photos) // 4)
started = time.perf_counter()
detect(len(photos))
print(len(photos) / (time.perf_counter() - started))
"""

# ---------------------------------------------------------------------------------- photos


def write_portraits(folder, count):
    """Writes `folder/portrait/<n>.jpg`: scikit-image's astronaut, 220 to 420 pixels per side."""
    from skimage import data

    face = cv2.cvtColor(data.astronaut()[:300, 80:380], cv2.COLOR_RGB2BGR)
    (folder / "portrait").mkdir(parents=True)
    random = np.random.RandomState(0)
    for number in range(count):
        size = tuple(random.randint(220, 421, 2).tolist())
        cv2.imwrite(str(folder / "portrait" / f"{number:04d}.jpg"), cv2.resize(face, size))


@contextlib.contextmanager
def photo_paths(args):
    """Yields the paths of `args.count` photos, spread evenly over the folder."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(args.photos or work).resolve()
        if not args.photos:
            write_portraits(folder, args.count)
        paths = sorted(path for path in folder.glob("*/*") if path.is_file())
        yield [str(path) for path in paths[:: max(len(paths) // args.count, 1)][: args.count]]


def read_photos(args):
    """The photos, uint8 (H, W, 3) each."""
    with photo_paths(args) as paths:
        return [read_photo_2018(path) for path in paths]


def large_photos(args):
    """Photos of `LARGE_SIZE`: others at one to three times their size, next to each other."""
    photos = iter(read_photos(args) * 10)
    height, width = LARGE_SIZE
    large = []
    for number in range(LARGE_COUNT):
        canvas = np.full((height, width, 3), 90, np.uint8)
        side = height // (number % 3 + 2)
        for top in range(0, height - side + 1, side):
            for left in range(0, width - side + 1, side):
                canvas[top : top + side, left : left + side] = cv2.resize(
                    next(photos), (side, side)
                )
        large.append(canvas)
    return large


# ---------------------------------------------------------------------------------- measurements


def one_core():
    """Pins this process to one core."""
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def aligned_rate(args, workers):
    """Photos/s from files to files, in this checkout or in the earlier commit."""

    def align(paths):
        with tempfile.TemporaryDirectory() as output:
            started = time.perf_counter()
            if hasattr(alignment, "Machines"):
                align_here(paths, output, workers)
            else:
                align_before(paths, output, workers)
            return time.perf_counter() - started

    with photo_paths(args) as paths:
        align(paths[:WARM_UP])
        return {"photos/s": len(paths) / align(paths)}


def align_here(paths, output, workers):
    """Aligns with this checkout."""
    from src.align.outputs import Outputs
    from src.align.planning import Plan
    from src.align.settings import Settings
    from src.align.styles import STYLES
    from src.formats.photo_set import PhotoSet

    photos = PhotoSet("/", [(path.lstrip("/"), 0) for path in paths])
    plan = Plan(photos, output, Settings())
    outputs = Outputs(os.path.join(output, "lst"), STYLES["megaface"])
    machines = alignment.Machines(workers)
    alignment.align_dataset(plan, Settings(), machines, lambda *_: None, outputs)


def align_before(paths, output, workers):
    """Aligns with the earlier commit."""
    photos = [
        EasyDict(id=path, classname="0", image_path=path, bbox=None, landmark=None)
        for path in paths
    ]
    settings = alignment.Settings()
    alignment.align_dataset(photos, output, settings, workers, lambda *_: None)


def align_alone(args):
    """With one worker on one core."""
    one_core()
    return aligned_rate(args, 1)


def detect_here(photos, smallest):
    """Photos/s of this detector."""
    from src.align.detector import MtcnnDetector

    detector = MtcnnDetector.create()

    def detect():
        for start in range(0, len(photos), MTCNN_BATCH):
            some = photos[start : start + MTCNN_BATCH]
            detector.find(some, [smallest] * len(some))

    one_core()
    return {"photos/s": len(photos) / harness.shortest(detect, 1)}


def detect_before(photos, smallest):
    """Photos/s of the earlier commit's `detect_face`."""
    from src.align.detect_face import create_mtcnn, detect_face

    networks = create_mtcnn(None, None)

    def detect():
        for photo in photos:
            detect_face(photo, smallest, *networks, THRESHOLDS, FACTOR)

    one_core()
    return {"photos/s": len(photos) / harness.shortest(detect, 1)}


def detect_with_package(args):
    """Photos/s of the package `mtcnn` with its own batches."""
    with tempfile.TemporaryDirectory() as work:
        environment = Path(args.mtcnn_env or work) / "venv"
        python = str(environment / "bin" / "python")
        if not environment.exists():
            venv.create(environment, with_pip=True)
            command = [python, "-m", "pip", "install", "--quiet", *MTCNN_REQUIREMENTS]
            subprocess.run(command, check=True, stdout=sys.stderr)
        np.savez(f"{work}/photos.npz", *read_photos(args))
        given = json.dumps([args.threads, MTCNN_BATCH, SMALLEST, *THRESHOLDS, FACTOR])
        one_core()
        command = [python, "-c", MTCNN_SCRIPT, f"{work}/photos.npz", given]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return {"photos/s": float(done.stdout.splitlines()[-1])}


PACKAGE = "package mtcnn 1.0.0, detecting"
CASES = [
    harness.Case(f"commit {BEFORE}, aligning", align_alone, commit=BEFORE),
    harness.Case("aligning", align_alone, base=f"commit {BEFORE}, aligning", at_least=4.0),
    harness.Case(
        "aligning with two workers", lambda a: aligned_rate(a, 2), base="aligning", at_least=1.8
    ),
    harness.Case(
        f"commit {BEFORE}, detecting in large photos",
        lambda args: detect_before(large_photos(args), SMALLEST_IN_LARGE),
        commit=BEFORE,
    ),
    harness.Case(
        "detecting in large photos",
        lambda args: detect_here(large_photos(args), SMALLEST_IN_LARGE),
        base=f"commit {BEFORE}, detecting in large photos",
        at_least=3.0,
    ),
]
PACKAGE_CASES = [
    harness.Case(PACKAGE, detect_with_package),
    harness.Case(
        "detecting", lambda args: detect_here(read_photos(args), SMALLEST), PACKAGE, at_least=2.0
    ),
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--photos", help="folder of person folders")
    parser.add_argument("--count", type=int, default=200, help="photos")
    parser.add_argument("--no-mtcnn", action="store_true", help="without the package mtcnn")
    parser.add_argument("--mtcnn-env", help="folder in which to keep the package's environment")


if __name__ == "__main__":
    cases = CASES if "--no-mtcnn" in sys.argv else CASES + PACKAGE_CASES
    sys.exit(harness.main(__file__, __doc__, cases, add_arguments=add_arguments))
