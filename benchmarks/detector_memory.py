"""How much a process that aligns photos of many sizes grows.

    python benchmarks/detector_memory.py

oneDNN keeps what it has prepared for each input shape, 0.6 MB and more for every new size of photo.
The detector here always runs on canvases and crops of the same sizes. The case is compared with the
growth that is allowed.
"""

import os
import sys
import time

import cv2
import harness
import numpy as np

from src.align.detector import MtcnnDetector
from src.align.ladder import align_photos
from src.align.photo import Photo

ALLOWED_MB = 100.0
WARM_UP = 50  # photos before the memory is measured for the first time


def resident_mb():
    """Memory of this process, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def photos(count):
    """Yields portraits of different sizes, 120 to 420 pixels per side."""
    from skimage import data

    face = np.ascontiguousarray(data.astronaut()[:300, 80:380])
    sizes = [(width, height) for width in range(120, 421) for height in range(120, 421)]
    for place in np.random.RandomState(0).permutation(len(sizes))[:count]:
        yield cv2.resize(face, sizes[place])


def growth(args):
    """Growth in MB while all photos but the first are aligned, and photos/s."""
    detector = MtcnnDetector.create()
    for number, photo in enumerate(photos(args.photos)):
        if number == WARM_UP:
            before, started = resident_mb(), time.perf_counter()
        align_photos([Photo(photo)], detector)
    seconds = time.perf_counter() - started
    return {"MB": resident_mb() - before, "photos/s": (args.photos - WARM_UP) / seconds}


CASES = [
    harness.Case("allowed", lambda args: {"MB": ALLOWED_MB, "photos/s": 1.0}),
    harness.Case("as aligned", growth, base="allowed", at_most=1.0),
]


def add_arguments(parser):
    """The benchmark's own flag."""
    parser.add_argument("--photos", type=int, default=3000, help="number of photo sizes")


if __name__ == "__main__":
    sys.exit(
        harness.main(__file__, __doc__, CASES, add_arguments=add_arguments, better=min, rounds=1)
    )
