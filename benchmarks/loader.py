"""Images/s of the training iterator against plain decoding on one thread.

python benchmarks/loader.py --decoders 2
"""

import os
import sys
import tempfile
import time

import cv2
import harness
import numpy as np

from src.formats.face_records import FaceRecordWriter
from src.formats.records import RecordReader
from src.loading.face_iter import FaceImageIter

IDENTITIES, IMAGES_PER_IDENTITY = 50, 20
PLAIN = "cv2.imdecode, one thread"


def write_faces(folder):
    """Writes a training set of smooth pictures, about 4 KB each like faces; returns its path."""
    random = np.random.RandomState(0)
    path = os.path.join(folder, "train.rec")
    with FaceRecordWriter(path) as writer:
        for identity in range(IDENTITIES):
            for _ in range(IMAGES_PER_IDENTITY):
                coarse = random.randint(0, 256, (28, 28, 3)).astype(np.uint8)
                picture = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
                jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
                writer.add_image([identity, 1], jpeg.tobytes())
    return path


def decoding(path, args):
    """Images/s of cv2.imdecode alone."""
    with RecordReader(path) as reader:
        ids = range(1, IDENTITIES * IMAGES_PER_IDENTITY + 1)
        encoded = [np.frombuffer(reader.read(number).content, np.uint8) for number in ids]
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < args.seconds:
        for content in encoded:
            cv2.imdecode(content, cv2.IMREAD_COLOR)
        count += len(encoded)
    return {"images/s": count / (time.perf_counter() - started)}


def iterating(path, args):
    """Images/s of shuffled, mirrored batches as NDArrays."""
    iterator = FaceImageIter(
        args.batch_size,
        (3, 112, 112),
        path,
        shuffle=True,
        rand_mirror=True,
        threads=args.decoders,
        seed=0,
    )
    iterator.next()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < args.seconds:
        try:
            count += iterator.next().data[0].shape[0]
        except StopIteration:
            iterator.reset()
    return {"images/s": count / (time.perf_counter() - started)}


def with_faces(measure):
    """`measure(args)` on a temporary training set."""

    def run(args):
        cv2.setNumThreads(1)
        with tempfile.TemporaryDirectory() as folder:
            return measure(write_faces(folder), args)

    return run


CASES = [
    harness.Case(PLAIN, with_faces(decoding)),
    harness.Case("FaceImageIter", with_faces(iterating), base=PLAIN, at_least=0.6),
]


def add_arguments(parser):
    """The flags of this benchmark."""
    parser.add_argument("--batch-size", type=int, default=128, help="images in a batch")
    parser.add_argument("--decoders", type=int, default=2, help="number of decoding threads")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")


if __name__ == "__main__":
    sys.exit(harness.main(__file__, __doc__, CASES, add_arguments=add_arguments))
