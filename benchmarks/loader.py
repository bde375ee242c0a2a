"""Images/s of the training iterator against plain decoding on one thread, in one run.

    python benchmarks/loader.py --threads 2

Exits with status 1 if the iterator gives less than `--at-least` of what one thread decodes.
"""

import argparse
import os
import tempfile
import time

import cv2
import numpy as np

from src.common.face_records import FaceRecordWriter
from src.common.records import RecordReader
from src.image_iter import FaceImageIter

IDENTITIES, IMAGES_PER_IDENTITY = 50, 20


def write_faces(folder):
    """A training set of smooth pictures whose JPEG, about 4 KB, is as large as that of a face."""
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


def decoding_rate(path, seconds):
    """(images/s of cv2.imdecode alone on this thread, mean bytes of an image)."""
    with RecordReader(path) as reader:
        ids = range(1, IDENTITIES * IMAGES_PER_IDENTITY + 1)
        encoded = [np.frombuffer(reader.read(number).content, np.uint8) for number in ids]
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for content in encoded:
            cv2.imdecode(content, cv2.IMREAD_COLOR)
        count += len(encoded)
    return count / (time.perf_counter() - began), np.mean([len(content) for content in encoded])


def iterator_rate(path, batch_size, threads, seconds):
    """Images/s of shuffled, mirrored batches as NDArrays."""
    iterator = FaceImageIter(
        batch_size, (3, 112, 112), path, shuffle=True, rand_mirror=True, threads=threads, seed=0
    )
    iterator.next()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        try:
            count += iterator.next().data[0].shape[0]
        except StopIteration:
            iterator.reset()
    return count / (time.perf_counter() - began)


def main(argv=None):
    """Prints both rates; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--at-least", type=float, default=0.6, help="share of plain decoding")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = write_faces(folder)
        plain, size = decoding_rate(path, args.seconds)
        ours = iterator_rate(path, args.batch_size, args.threads, args.seconds)
    print(f"cv2.imdecode, one thread: {plain:.0f} images/s of {size:.0f} bytes")
    print(f"FaceImageIter, {args.threads} threads: {ours:.0f} images/s, {ours / plain:.2f} of it")
    return int(ours < args.at_least * plain)


if __name__ == "__main__":
    raise SystemExit(main())
