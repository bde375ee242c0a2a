"""Photos/s of alignment against one binding per network call, and of the command against 2018.

    python benchmarks/align.py --photos ../shared/faces/lfw --count 200

Photos differ in size, and so do the batches of the later networks: the obvious approach in MXNet is
to bind an executor for each shape. The detector's networks here are graphs that accept any shape.
Both cases align the same photos in one process; the last line is the complete command with its
worker processes, with a limit relative to the 2018 script's rate. Without --photos, one portrait in
many sizes is used.
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import harness
import numpy as np

from src.align import align_megaface
from src.align.detector import MtcnnDetector
from src.align.jpeg_2018 import read_photo_2018
from src.align.ladder import align_photos
from src.align.mtcnn_networks import SYMBOLS, mxnet_parameters
from src.align.mtcnn_weights import load_weights
from src.align.photo import Photo
from src.common.mxnet_backend import mx

RATE_OF_2018 = 8.0  # photos/s of the 2018 script


class BoundForEachCall:
    """A network of the detector whose executor is bound again for every input."""

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
    """Writes `folder/portrait/<n>.jpg`: scikit-image's astronaut, 220 to 420 pixels per side."""
    from skimage import data

    face = cv2.cvtColor(data.astronaut()[:300, 80:380], cv2.COLOR_RGB2BGR)
    (folder / "portrait").mkdir(parents=True)
    random = np.random.RandomState(0)
    for number in range(count):
        size = tuple(random.randint(220, 421, 2).tolist())
        cv2.imwrite(str(folder / "portrait" / f"{number:04d}.jpg"), cv2.resize(face, size))


def link_photos(photos, folder, count):
    """Links `folder/<person>/<photo>` to `count` photos spread evenly over a folder tree."""
    paths = sorted(path for path in Path(photos).resolve().glob("*/*") if path.is_file())
    for path in paths[:: max(len(paths) // count, 1)][:count]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path)


@contextlib.contextmanager
def photo_folder(args):
    """Yields a temporary folder `photos` of person folders."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "photos"
        if args.photos:
            link_photos(args.photos, folder, args.count)
        else:
            write_portraits(folder, args.count)
        yield folder


def bound_for_each_call():
    """The detector with networks that are bound for each call."""
    weights = load_weights()
    return MtcnnDetector(*(BoundForEachCall(name, weights[name]) for name in SYMBOLS))


def one_process(create, args):
    """Photos/s of a detector on some of the photos."""
    cv2.setNumThreads(1)
    detector = create()
    with photo_folder(args) as folder:
        some = sorted(folder.glob("*/*"))[:: max(args.count // 40, 1)]
        images = [read_photo_2018(path) for path in some]
    seconds = harness.shortest(
        lambda: [align_photos([Photo(image)], detector) for image in images], 1
    )
    return {"photos/s": len(images) / seconds}


def command(args):
    """Photos/s of the complete command."""
    with photo_folder(args) as folder, contextlib.redirect_stdout(sys.stderr):
        flags = ["--input-dir", str(folder), "--name", "lfw"]
        flags += ["--output-dir", str(folder.parent / "aligned")]
        started = time.perf_counter()
        align_megaface.main([*flags, "--num-workers", str(args.num_workers)])
        seconds = time.perf_counter() - started
        return {"photos/s": len(list(folder.glob("*/*"))) / seconds}


CASES = [
    harness.Case("2018's script", lambda args: {"photos/s": RATE_OF_2018}),
    harness.Case("bound for each call, one process", lambda a: one_process(bound_for_each_call, a)),
    harness.Case(
        "this aligner, one process",
        lambda args: one_process(MtcnnDetector.create, args),
        base="bound for each call, one process",
        at_least=1.3,
    ),
    harness.Case("the command", command, base="2018's script", at_least=1.0),
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--photos", help="folder of person folders")
    parser.add_argument("--count", type=int, default=200, help="photos for the command")
    parser.add_argument("--num-workers", type=int, default=os.cpu_count(), help="for the command")


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, add_arguments=add_arguments))
