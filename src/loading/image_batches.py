"""Batches of decoded training images, prepared ahead of time by threads."""

import collections
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.photos import decode_stored
from src.formats.records import RecordReader

log = logging.getLogger(__name__)

# Batches decoded in advance: enough that training seldom waits for them, few enough to stay under
# 250 MB for batches of 512 images of 112×112.
AHEAD = 3

GREY = 127.5
MEAN_SCALE = 0.0078125  # 2018: 1/128, together with a mean of 127.5


Augmenter = Callable[[mx.nd.NDArray], mx.nd.NDArray]


class Augmentation(NamedTuple):
    """What is done to each image, in this order.

    `rand_mirror` mirrors each image with probability 1/2; each of `aug_list` maps an NDArray
    (H, W, 3), RGB, to another; `mean` (3,), RGB, is subtracted and the result divided by 128;
    `cutoff` is the side in pixels of a square that becomes grey.
    """

    rand_mirror: bool = False
    aug_list: Sequence[Augmenter] | None = None
    mean: Sequence[float] | None = None
    cutoff: int = 0


class _Batch(NamedTuple):
    """A batch in preparation.

    `ids` (N,) are record numbers, `images` is (N, 3, H, W), `labels` (N,). `draws` has (mirrored,
    row, column of the grey square) for each image. Each future of `work` returns the places whose
    image cannot be decoded.
    """

    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    draws: list[tuple[int, int, int]]
    work: list[Future[list[int]]]


class ImageBatches:
    """Decoded batches of a `RecordReader`, in the requested order.

    Parameters
    ----------
    data_shape
        (3, H, W)
    threads
        Number of decoding threads; they run in parallel because decoding releases the GIL.
    workers
        (number, count): of each batch, which is that many times as large, only the part with this
        number is decoded.

    Attributes
    ----------
    position
        Number of the next batch.
    wait_seconds
        Total time spent waiting for batches.
    """

    def __init__(
        self,
        reader: RecordReader,
        batch_size: int,
        data_shape: Sequence[int],
        augmentation: Augmentation,
        threads: int,
        workers: tuple[int, int] = (0, 1),
    ) -> None:
        if augmentation.aug_list:
            threads = 1  # they draw from Python's generator; only one thread keeps the order
        if threads < 1:
            raise InputError(f"{threads} decoding threads: expected at least 1")
        self.reader = reader
        self.batch_size = batch_size
        self._part, parts = workers
        self.whole_size = batch_size * parts
        self.data_shape = tuple(data_shape)
        self.augmentation = augmentation
        self.wait_seconds = 0.0
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._pending: collections.deque[_Batch] = collections.deque()
        self._bad_ids: set[int] = set()
        self.start(np.empty(0, np.int64), 0)

    def start(
        self,
        order: np.ndarray,
        stream: int | tuple[int, ...],
        first: int = 0,
        augment: bool = True,
        smaller_last: bool = False,
    ) -> None:
        """Starts a pass over `order` at its batch `first`; drops the batches in preparation.

        Parameters
        ----------
        order
            Record numbers. Images at the end that do not fill a batch are left out, but an order
            shorter than one batch is repeated to fill one; see `smaller_last`.
        stream
            Seed of this pass: random draws depend only on it and the batch number.
        augment
            False disables mirroring, cutoff and aug_list.
        smaller_last
            The images at the end are a smaller batch.
        """
        self._drop_pending()
        if 0 < len(order) < self.whole_size:
            order = np.resize(order, self.whole_size)
        self._order = order
        self._stream = stream
        self._augment = augment
        self._smaller_last = smaller_last
        self._submitted = first
        self.position = first

    @property
    def count(self) -> int:
        """Number of batches in a pass."""
        size = self.whole_size
        return (len(self._order) + (size - 1) * self._smaller_last) // size

    def next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """(images (N, 3, H, W), RGB, labels (N,)), float32; StopIteration at the end of the pass.

        Raises
        ------
        InputError
            The size of an image is not that of `data_shape`, or no image can be decoded.
        """
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

    def _drop_pending(self) -> None:
        for batch in self._pending:
            for future in batch.work:
                future.cancel()
        self._pending.clear()

    def _submit(self, number: int) -> _Batch:
        """Starts the preparation of a batch."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        first = self._first_place(number)
        ids = self._order[first : first + self.batch_size]
        size = len(ids)
        images = np.empty((size, *self.data_shape), np.float32)
        batch = _Batch(ids, images, np.empty(size, np.float32), self._draw(number), [])
        for places in np.array_split(np.arange(size), min(self._threads, size)):
            batch.work.append(self._pool.submit(self._fill_places, batch, places))
        return batch

    def _draw(self, number: int) -> list[tuple[int, int, int]]:
        """(mirrored, row, column of the grey square's centre) for each image of a batch."""
        stream = self._stream if isinstance(self._stream, tuple) else (self._stream,)
        random = np.random.default_rng((*stream, number))
        size, (_, height, width) = self.whole_size, self.data_shape
        mirror = random.integers(0, 2, size) * bool(self._augment and self.augmentation.rand_mirror)
        rows = random.integers(0, height, size)
        draws = list(zip(mirror, rows, random.integers(0, width, size), strict=True))
        return draws[self._part * self.batch_size :][: self.batch_size]

    def _first_place(self, number: int) -> int:
        """Where the images of a batch begin in the order."""
        return number * self.whole_size + self._part * self.batch_size

    def _fill_places(self, batch: _Batch, places: np.ndarray) -> list[int]:
        """Fills some places of a batch; returns those whose image cannot be decoded."""
        return [place for place in places if not self._fill(batch, place, batch.ids[place])]

    def _fill(self, batch: _Batch, place: int, record_id: int) -> bool:
        """Puts an image into a place of the batch; False if it cannot be decoded."""
        record = self.reader.read(record_id)
        bgr = decode_stored(record.content)
        if bgr is None:
            return False
        if bgr.shape[:2] != self.data_shape[1:]:
            raise InputError(
                f"{self.reader.path}: image {record_id} has height and width {bgr.shape[:2]}, but "
                f"property has {self.data_shape[1:]}; align and pack all photos in one size"
            )
        if not np.isfinite(record.label[0]):
            raise InputError(
                f"{self.reader.path}: image {record_id} has label {record.label[0]}, which would "
                "make the loss NaN; list and pack the set again"
            )
        self._write(batch.images[place], bgr, batch.draws[place])
        batch.labels[place] = record.label[0]
        return True

    def _write(self, target: np.ndarray, bgr: np.ndarray, draw: tuple[int, int, int]) -> None:
        """Augments an image, uint8 (H, W, 3) BGR, and writes it to `target` (3, H, W), RGB."""
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
            # 2018: the same grey even if the mean has been subtracted.
            target[:, max(0, row - half) : row + half, max(0, column - half) : column + half] = GREY

    def _replace(self, batch: _Batch, place: int) -> None:
        """Replaces an undecodable image with the next one in the order that can be decoded."""
        bad = int(batch.ids[place])
        if bad not in self._bad_ids:
            self._bad_ids.add(bad)
            log.warning(
                "%s: image %d cannot be decoded and is replaced by another (%d undecodable so far)",
                self.reader.path,
                bad,
                len(self._bad_ids),
            )
        at = self._first_place(self.position) + int(place)
        for following in range(1, len(self._order)):
            record_id = self._order[(at + following) % len(self._order)]
            if record_id not in self._bad_ids and self._fill(batch, place, record_id):
                return
        raise InputError(
            f"{self.reader.path}: none of its {len(self._order)} images can be decoded"
        )
