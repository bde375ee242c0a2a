"""Batches of decoded training images, made ahead of time by threads."""

import collections
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.photos import decode_stored

log = logging.getLogger(__name__)

# Batches in the making beside the one in use: enough to bridge a verification's memory traffic,
# few enough that 512 images of 112×112 stay under 250 MB.
AHEAD = 3

GREY = 127.5
MEAN_SCALE = 0.0078125  # 2018: 1/128, together with a mean of 127.5


class Augmentation(NamedTuple):
    """What is done to each image, in this order.

    `rand_mirror` flips half of the images; `aug_list` are callables from NDArray (H,W,3) to the
    same; `mean` (3,) is subtracted and the rest scaled by 1/128; `cutoff` is the side in pixels of
    a square that becomes grey.
    """

    rand_mirror: bool = False
    aug_list: list | None = None
    mean: tuple | None = None
    cutoff: int = 0


class _Batch(NamedTuple):
    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    draws: list
    work: list  # futures, each of a list of the places whose image could not be decoded


class ImageBatches:
    """Decoded batches of a `RecordReader`, in the order asked for.

    Parameters
    ----------
    reader : RecordReader
    batch_size : int
    data_shape : (3, H, W)
    augmentation : Augmentation
    threads : int
        Decoding releases the interpreter's lock, so that threads work side by side.

    Attributes
    ----------
    wait_seconds : float
        Time spent waiting for a batch, in all.
    """

    def __init__(self, reader, batch_size, data_shape, augmentation, threads):
        if augmentation.aug_list:
            threads = 1  # they draw from Python's generator: only one thread keeps their order
        if threads < 1:
            raise InputError(f"{threads} decoding threads: expected at least 1")
        self.reader = reader
        self.batch_size = batch_size
        self.data_shape = tuple(data_shape)
        self.augmentation = augmentation
        self.wait_seconds = 0.0
        self._threads = threads
        self._pool = None
        self._pending = collections.deque()
        self._bad_ids = set()
        self.start(np.empty(0, np.int64), 0)

    def start(self, order, stream, first=0, augment=True):
        """Begins with batch `first` of a pass over `order`; what was under way is dropped.

        Parameters
        ----------
        order : int ndarray
            Record numbers; what is left over at the end and fills no batch is not given, but an
            order shorter than one batch is repeated to fill one.
        stream : int or tuple of int
            Seeds the random draws of this pass: they depend on it and the batch number alone.
        first : int
            Where to go on.
        augment : bool
            False leaves mirror, cutoff and aug_list out.
        """
        self._drop_pending()
        if 0 < len(order) < self.batch_size:
            order = np.resize(order, self.batch_size)
        self._order = order
        self._stream = stream
        self._augment = augment
        self._submitted = first
        self.position = first

    @property
    def count(self):
        """Batches in a pass."""
        return len(self._order) // self.batch_size

    def next_batch(self):
        """(images (N,3,H,W) float32 RGB, labels (N,) float32); StopIteration at the pass's end."""
        while self._submitted < self.count and len(self._pending) <= AHEAD:
            self._pending.append(self._submit(self._submitted))
            self._submitted += 1
        if not self._pending:
            raise StopIteration
        batch = self._pending.popleft()
        began = time.perf_counter()
        bad_places = [place for future in batch.work for place in future.result()]
        self.wait_seconds += time.perf_counter() - began
        for place in bad_places:
            self._replace(batch, place)
        self.position += 1
        return batch.images, batch.labels

    def _drop_pending(self):
        for batch in self._pending:
            for future in batch.work:
                future.cancel()
        self._pending.clear()

    def _submit(self, number):
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        size = self.batch_size
        ids = self._order[number * size : (number + 1) * size]
        images = np.empty((size, *self.data_shape), np.float32)
        batch = _Batch(ids, images, np.empty(size, np.float32), self._draw(number), [])
        for places in np.array_split(np.arange(size), min(self._threads, size)):
            batch.work.append(self._pool.submit(self._fill_places, batch, places))
        return batch

    def _draw(self, number):
        """For each image of the batch: whether it is mirrored, and the grey square's centre."""
        stream = self._stream if isinstance(self._stream, tuple) else (self._stream,)
        random = np.random.default_rng((*stream, number))
        size, (_, height, width) = self.batch_size, self.data_shape
        mirror = random.integers(0, 2, size) * bool(self._augment and self.augmentation.rand_mirror)
        rows = random.integers(0, height, size)
        return list(zip(mirror, rows, random.integers(0, width, size), strict=True))

    def _fill_places(self, batch, places):
        return [place for place in places if not self._fill(batch, place, batch.ids[place])]

    def _fill(self, batch, place, record_id):
        """Puts an image into its place of the batch; False where it cannot be decoded."""
        record = self.reader.read(record_id)
        bgr = decode_stored(record.content)
        if bgr is None:
            return False
        if bgr.shape[:2] != self.data_shape[1:]:
            raise InputError(
                f"{self.reader.path}: image {record_id} has height and width {bgr.shape[:2]}, "
                f"property says {self.data_shape[1:]}: align and pack to one size"
            )
        self._write(batch.images[place], bgr, batch.draws[place])
        batch.labels[place] = record.label[0]
        return True

    def _write(self, target, bgr, draw):
        """Augments an image and writes it to `target` (3,H,W), RGB."""
        mirror, row, column = draw
        augmentation = self.augmentation
        planes = cv2.split(cv2.flip(bgr, 1) if mirror else bgr)[::-1]
        if augmentation.aug_list and self._augment:
            image = mx.nd.array(np.stack(planes, axis=-1))
            for augment in augmentation.aug_list:
                image = augment(image)
            planes = image.asnumpy().transpose(2, 0, 1)
        for channel, plane in zip(target, planes, strict=True):
            channel[:] = plane
        if augmentation.mean is not None:
            target -= np.asarray(augmentation.mean, np.float32).reshape(3, 1, 1)
            target *= MEAN_SCALE
        if augmentation.cutoff > 0 and self._augment:
            half = augmentation.cutoff // 2
            # 2018: the same grey also where the mean has been subtracted.
            target[:, max(0, row - half) : row + half, max(0, column - half) : column + half] = GREY

    def _replace(self, batch, place):
        """Fills the place of an undecodable image with the next one of the order that decodes."""
        bad = int(batch.ids[place])
        if bad not in self._bad_ids:
            self._bad_ids.add(bad)
            log.warning(
                "%s: image %d cannot be decoded and is replaced (%d such so far)",
                self.reader.path,
                bad,
                len(self._bad_ids),
            )
        at = self.position * self.batch_size + int(place)
        for following in range(1, len(self._order)):
            record_id = self._order[(at + following) % len(self._order)]
            if record_id not in self._bad_ids and self._fill(batch, place, record_id):
                return
        raise InputError(
            f"{self.reader.path}: none of its {len(self._order)} images can be decoded"
        )
