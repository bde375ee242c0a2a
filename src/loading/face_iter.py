"""Training images of a face data set as an MXNet data iterator: `FaceImageIter`."""

import logging
import random
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from src.common.errors import InputError, StopRequested
from src.common.mxnet_backend import mx
from src.common.workers import Workers
from src.formats.face_layout import read_layout
from src.formats.records import RecordReader
from src.loading.image_batches import Augmentation, Augmenter, ImageBatches
from src.loading.samples import SampleReader

DROP, KEEP, WRAP = LAST_BATCH = ("drop", "keep", "wrap")

log = logging.getLogger()  # 2018: the line "INFO:root:loading recordio …"


class RecordImageIter(SampleReader, mx.io.DataIter, ABC):
    """What the two `FaceImageIter` classes share: records, shapes and decoding threads.

    Parameters
    ----------
    batch_size
        Over all devices of this worker.
    data_shape
        (3, H, W)
    path_imgrec
        The .rec; the .idx is next to it.
    shuffle
        A new order in every epoch.
    aug_list
        Each maps an NDArray (H, W, 3) to another, like those of `mx.image.CreateAugmenter`.
    mean
        Three numbers, RGB, which are subtracted; the result is divided by 128.
    rand_mirror
        Mirrors each image with probability 1/2.
    cutoff
        Side in pixels of a square that becomes grey, at a random place; 0: none.
    data_name, label_name
    threads
        Number of decoding threads.
    seed
        By default drawn from Python's `random`, so `random.seed` makes it repeatable too.
    workers
        Each has its own part of every batch.
    unknown
        Arguments of other versions of 2018's iterator; they have no effect, with a warning.

    Raises
    ------
    InputError, FileNotFoundError
        The records are missing, have no header or are damaged; the message says how to repair them.
    """

    def __init__(
        self,
        batch_size: int,
        data_shape: Sequence[int],
        path_imgrec: str | None = None,
        shuffle: bool = False,
        aug_list: list[Augmenter] | None = None,
        mean: Sequence[float] | None = None,
        rand_mirror: bool = False,
        cutoff: int = 0,
        data_name: str = "data",
        label_name: str = "softmax_label",
        threads: int = 2,
        seed: int | None = None,
        workers: Workers | None = None,
        **unknown: Any,
    ) -> None:
        if not path_imgrec:
            raise InputError("FaceImageIter needs path_imgrec, the path of a train.rec")
        if unknown:
            log.warning("FaceImageIter: these arguments have no effect: %s", ", ".join(unknown))
        super().__init__(batch_size)
        log.info("loading recordio %s...", path_imgrec)
        self.reader = RecordReader(path_imgrec)
        weakref.finalize(self, self.reader.close)
        self.layout = layout = read_layout(self.reader)
        self.header0 = tuple(int(number) for number in layout.header)
        self.imgidx = self.seq = layout.image_ids
        self.id2range = layout.identity_ranges
        print("header0 label", np.array(self.header0, np.float32))
        print("id2range", len(self.id2range))
        print(len(layout.image_ids))
        print("rand_mirror", int(rand_mirror))
        chosen = random.getrandbits(31) if seed is None else seed
        self.shuffle = shuffle
        self.rand_mirror, self.cutoff = rand_mirror, cutoff
        self.mean = None if mean is None else np.asarray(mean, np.float32).reshape(1, 1, 3)
        self.provide_data = [mx.io.DataDesc(data_name, (batch_size, *data_shape))]
        self.provide_label = [mx.io.DataDesc(label_name, (batch_size,))]
        self._augmentation = Augmentation(rand_mirror, aug_list, mean, cutoff)
        self._threads = threads
        self.workers = workers or Workers()
        self.seed: int = self.workers.from_first(lambda: chosen)
        self.batches = self._new_batches()
        self.epoch = -1
        self.cur = 0  # of `next_sample`
        self.stop_requested: Callable[[], bool] = lambda: False
        self._check_records()

    @abstractmethod
    def _check_records(self) -> None:
        """Warns about records that are unusual for this iterator, or raises InputError."""

    def _new_batches(self) -> ImageBatches:
        """An `ImageBatches` of these records and shapes."""
        shape = self.provide_data[0].shape[1:]
        part = (self.workers.rank, self.workers.count)
        return ImageBatches(
            self.reader, self.batch_size, shape, self._augmentation, self._threads, part
        )

    @property
    def whole_batch_size(self) -> int:
        """Over all devices of all workers."""
        return self.batch_size * self.workers.count

    @abstractmethod
    def begin_epoch(self, epoch: int, first: int = 0) -> None:
        """Starts the given epoch at its batch `first`."""

    @abstractmethod
    def epoch_length(self) -> tuple[int | None, int]:
        """(batches in each epoch, or None if epochs differ; images that an epoch is made from)."""

    def check_stop(self) -> None:
        """Raises StopRequested if the run was asked to stop."""
        if self.stop_requested():
            raise StopRequested

    def wait_seconds(self) -> float:
        """Time spent waiting for decoded images so far."""
        return self.batches.wait_seconds

    def num_samples(self) -> int:
        """Number of images in this epoch's order."""
        return SampleReader.seq.count(self)

    def reset(self) -> None:
        """Starts the next epoch; no effect if the current one has not returned a batch yet."""
        if self.epoch < 0 or self.batches.position > 0 or self.cur > 0:
            self.hard_reset()

    def hard_reset(self) -> None:
        """Starts the next epoch in any case."""
        print("call reset()")
        self.cur = 0
        self.begin_epoch(self.epoch + 1)

    def next(self) -> mx.io.DataBatch:
        """The next batch; StopIteration at the end of the epoch."""
        if self.epoch < 0:
            self.reset()
        images, labels = self.batches.next_batch()
        (data,), (label,) = self.provide_data, self.provide_label
        return mx.io.DataBatch(
            [mx.nd.array(images)],
            [mx.nd.array(labels)],
            pad=0,
            provide_data=[mx.io.DataDesc(data.name, images.shape)],
            provide_label=[mx.io.DataDesc(label.name, labels.shape)],
        )


class FaceImageIter(RecordImageIter):
    """Batches of images (N, 3, H, W), RGB 0..255 float32, and labels (N,), from `train.rec`.

    Threads decode ahead of time. Order and augmentation of an epoch only depend on the seed and the
    number of the epoch. A set smaller than a batch is repeated to fill one.

    The parameters are those of `RecordImageIter`.

    Attributes
    ----------
    seq
        This epoch's order of record numbers. Assign to it to train on a part of the set.
    imgidx
        All image records.
    id2range
        Identity record → (first, last + 1) of its images.
    header0
        (N + 1, N + 1 + C) for N images of C identities.
    last_batch
        What to do with the images at the end of an epoch that do not fill a batch: DROP leaves them
        out of that epoch (as in 2018), WRAP fills the batch with the first images of the epoch, and
        KEEP returns a smaller batch. Assign to it before the first batch.
    """

    last_batch = DROP

    def _check_records(self) -> None:
        if len(self.layout.image_ids) < self.whole_batch_size:
            log.warning(
                "%s contains %d images, fewer than a batch of %d: a batch repeats images",
                self.reader.path,
                len(self.layout.image_ids),
                self.whole_batch_size,
            )

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch, at least 1."""
        batches, remaining = divmod(self.num_samples(), self.whole_batch_size)
        return max(batches + (remaining > 0 and self.last_batch != DROP), 1)

    def epoch_length(self) -> tuple[int, int]:
        """(batches, images) of an epoch."""
        return self.batches_per_epoch, self.num_samples()

    def begin_epoch(self, epoch: int, first: int = 0) -> None:
        """Starts the given epoch at its batch `first`."""
        if not self.num_samples():
            raise InputError("FaceImageIter.seq is empty: there is no image to train on")
        if self.shuffle:
            order = np.sort(SampleReader.seq.array(self))
            np.random.default_rng((self.seed, epoch)).shuffle(order)
            self.seq = order
        self.epoch = epoch
        order = SampleReader.seq.array(self)
        if self.last_batch == WRAP:
            order = np.resize(order, self.batches_per_epoch * self.whole_batch_size)
        smaller = self.last_batch == KEEP
        self.batches.start(order, (self.seed, epoch), first, smaller_last=smaller)

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue after the last batch, as plain numbers."""
        return {"seed": self.seed, "epoch": self.epoch, "batch": self.batches.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where the iterator that returned `state` was."""
        self.seed = state["seed"]
        self.begin_epoch(state["epoch"], state["batch"])


class FaceImageIterList(mx.io.DataIter):
    """Batches from several iterators, each from one drawn at random.

    An iterator at its end is reset, so there is no end of an epoch.

    Parameters
    ----------
    iter_list
        Iterators of the same batch size and shape.
    """

    def __init__(self, iter_list: list[mx.io.DataIter]) -> None:
        if not iter_list:
            raise InputError("FaceImageIterList needs at least one iterator")
        shapes = {tuple(iterator.provide_data[0].shape) for iterator in iter_list}
        if len(shapes) > 1:
            raise InputError(f"FaceImageIterList: iterators of different shapes {sorted(shapes)}")
        super().__init__(iter_list[0].provide_data[0].shape[0])
        self.provide_data = iter_list[0].provide_data
        self.provide_label = iter_list[0].provide_label
        self.iter_list = iter_list
        self.cur_iter: mx.io.DataIter | None = None

    def reset(self) -> None:
        """Resets the iterator used last, or all of them before the first batch."""
        for iterator in self.iter_list if self.cur_iter is None else [self.cur_iter]:
            iterator.reset()

    def next(self) -> mx.io.DataBatch:
        """A batch from a randomly drawn iterator."""
        self.cur_iter = random.choice(self.iter_list)
        try:
            return self.cur_iter.next()
        except StopIteration:
            self.cur_iter.reset()
            return self.cur_iter.next()
