"""Photos/s of the aligner against one binding a network call, and against 2018's rate, in one run.

    python benchmarks/align.py --photos ../shared/faces/lfw --count 200

Photos differ in size, and so do the batches of the later networks: the obvious way in MXNet binds
an executor for each shape. The aligner's networks are graphs that take any shape. Both align the
same photos, taking turns on one thread; then the whole command runs with its worker processes.
Exits with status 1 if the aligner is not `--at-least` times the obvious way, or if the command
gives less than `--limit` photos/s, the rate of the 2018 script. Without --photos: one portrait in
many sizes.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from src.align import align_megaface
from src.align.jpeg_2018 import read_photo_2018
from src.align.ladder import Detector, align_face
from src.align.mtcnn_networks import SYMBOLS, mxnet_parameters
from src.align.mtcnn_weights import load_weights
from src.common.mxnet_backend import mx


class BoundForEachCall:
    """A network of the detector whose executor is bound anew for every input."""

    def __init__(self, name, weights):
        self._symbol = SYMBOLS[name]()
        self._parameters = {
            key: mx.nd.array(value) for key, value in mxnet_parameters(weights).items()
        }

    def __call__(self, images):
        data = mx.nd.array(np.transpose(images, (0, 3, 1, 2)))
        executor = self._symbol.bind(mx.cpu(), {"data": data, **self._parameters}, grad_req="null")
        outputs = [output.asnumpy() for output in executor.forward(is_train=False)]
        return tuple(
            output.transpose(0, 2, 3, 1) if output.ndim == 4 else output for output in outputs
        )


def write_portraits(folder, count):
    """`folder/portrait/<n>.jpg`: scikit-image's astronaut, 220 to 420 pixels high."""
    from skimage import data

    face = cv2.cvtColor(data.astronaut()[:300, 80:380], cv2.COLOR_RGB2BGR)
    (folder / "portrait").mkdir(parents=True)
    random = np.random.RandomState(0)
    for number in range(count):
        size = tuple(random.randint(220, 421, 2).tolist())
        cv2.imwrite(str(folder / "portrait" / f"{number:04d}.jpg"), cv2.resize(face, size))


def link_photos(photos, folder, count):
    """`folder/<person>/<photo>`: links to `count` photos spread evenly over a folder tree."""
    paths = sorted(path for path in Path(photos).resolve().glob("*/*") if path.is_file())
    for path in paths[:: max(len(paths) // count, 1)][:count]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path)


def rates_in_turns(detectors, images, rounds):
    """Photos/s of each detector on one thread: its best round."""
    best = [0.0] * len(detectors)
    for _ in range(rounds):
        for index, detector in enumerate(detectors):
            began = time.perf_counter()
            for image in images:
                align_face(image, None, None, detector)
            best[index] = max(best[index], len(images) / (time.perf_counter() - began))
    return best


def command_rate(folder, output, workers):
    """Photos/s of the command, from its start to its end, and photos aligned."""
    flags = ["--input-dir", str(folder), "--name", "lfw", "--output-dir", str(output)]
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        align_megaface.main([*flags, "--num-workers", str(workers)])
    seconds = time.perf_counter() - began
    return sum(1 for _ in folder.glob("*/*")) / seconds


def main(argv=None):
    """Prints the rates; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", help="folder of person folders")
    parser.add_argument("--count", type=int, default=200, help="photos for the command")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-workers", type=int, default=os.cpu_count())
    parser.add_argument("--at-least", type=float, default=1.3, help="times the obvious way")
    parser.add_argument("--limit", type=float, default=8.0, help="photos/s of the command")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    weights = load_weights()
    obvious = Detector(*(BoundForEachCall(name, weights[name]) for name in SYMBOLS))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "photos"
        if args.photos:
            link_photos(args.photos, folder, args.count)
        else:
            write_portraits(folder, args.count)
        some = sorted(folder.glob("*/*"))[:: max(args.count // 40, 1)]
        images = [read_photo_2018(path) for path in some]
        ours, theirs = rates_in_turns([Detector.create(), obvious], images, args.rounds)
        whole = command_rate(folder, Path(work) / "aligned", args.num_workers)
    print(f"bound for each call, {len(images)} photos, one process: {theirs:.1f} photos/s")
    print(f"this aligner, the same photos, one process: {ours:.1f} photos/s, {ours / theirs:.2f}×")
    print(f"the command, {args.num_workers} workers: {whole:.1f} photos/s (2018: {args.limit:g})")
    return int(ours < args.at_least * theirs or whole < args.limit)


if __name__ == "__main__":
    raise SystemExit(main())
