"""Training images of a face data set as an MXNet data iterator: `FaceImageIter`."""

import logging
import random
import weakref

import numpy as np

from src.common.errors import InputError
from src.common.face_records import read_layout
from src.common.image_batches import Augmentation, ImageBatches
from src.common.mxnet_backend import mx
from src.common.records import RecordReader

log = logging.getLogger()  # 2018: the line "INFO:root:loading recordio …"


class RecordImageIter(mx.io.DataIter):
    """What both `FaceImageIter` share: the open records, the shapes, the decoding threads.

    Parameters
    ----------
    batch_size, data_shape, path_imgrec, data_name, label_name, threads, seed
        See `FaceImageIter`.
    augmentation : Augmentation
    """

    def __init__(
        self,
        batch_size,
        data_shape,
        path_imgrec,
        augmentation,
        data_name,
        label_name,
        threads,
        seed,
    ):
        if not path_imgrec:
            raise InputError("FaceImageIter needs path_imgrec, the path of a train.rec")
        super().__init__(batch_size)
        log.info("loading recordio %s...", path_imgrec)
        self.reader = RecordReader(path_imgrec)
        weakref.finalize(self, self.reader.close)
        layout = read_layout(self.reader)
        self.header0 = tuple(int(number) for number in layout.header)
        self.imgidx = list(layout.image_ids)
        self.id2range = layout.identity_ranges
        print("header0 label", np.array(self.header0, np.float32))
        print("id2range", len(self.id2range))
        print(len(self.imgidx))
        print("rand_mirror", int(augmentation.rand_mirror))
        self.seed = random.getrandbits(31) if seed is None else seed
        self.provide_data = [mx.io.DataDesc(data_name, (batch_size, *data_shape))]
        self.provide_label = [mx.io.DataDesc(label_name, (batch_size,))]
        self.augmentation = augmentation
        self.batches = self.new_batches(threads)
        self.epoch = -1

    def new_batches(self, threads):
        """An `ImageBatches` of these records and shapes."""
        return ImageBatches(
            self.reader,
            self.batch_size,
            self.provide_data[0].shape[1:],
            self.augmentation,
            threads,
        )

    def wait_seconds(self):
        """Time spent waiting for decoded images so far."""
        return self.batches.wait_seconds

    def num_samples(self):
        """Number of images in this epoch's order."""
        return len(self.seq)

    def reset(self):
        """Begins the next epoch; without effect while the present one has given nothing yet."""
        if self.epoch < 0 or self.batches.position > 0:
            print("call reset()")
            self.begin_epoch(self.epoch + 1)

    def next(self):
        """The next `mx.io.DataBatch`; StopIteration at the epoch's end."""
        if self.epoch < 0:
            self.reset()
        images, labels = self.batches.next_batch()
        return mx.io.DataBatch(
            [mx.nd.array(images)],
            [mx.nd.array(labels)],
            pad=0,
            provide_data=self.provide_data,
            provide_label=self.provide_label,
        )


class FaceImageIter(RecordImageIter):
    """Batches of images (N,3,H,W), RGB 0..255 float32, and labels (N,), of `train.rec`.

    Decoded by threads ahead of time. Order and augmentation of an epoch follow from the seed and
    the epoch's number alone. Images that fill no whole batch are left out until the next epoch's
    shuffling; a set smaller than a batch is repeated to fill one.

    Parameters
    ----------
    batch_size : int
        Over all devices.
    data_shape : (3, H, W)
    path_imgrec : str
        The .rec; its .idx lies beside it.
    shuffle : bool
        A new order every epoch.
    aug_list : list of callable, optional
        From an NDArray (H,W,3) to the same, as `mx.image.CreateAugmenter` gives.
    mean : sequence of 3 numbers, optional
        Subtracted, RGB; the rest is divided by 128.
    rand_mirror : bool
        Mirrors each image with probability 1/2.
    cutoff : int
        Side in pixels of a square that becomes grey, at a random place; 0: none.
    data_name, label_name : str
    threads : int
        That decode.
    seed : int, optional
        By default drawn from Python's `random`, so that `random.seed` makes it repeatable too.

    Attributes
    ----------
    seq : list of int
        This epoch's order of record numbers. Assign to it to train on a part.
    imgidx : list of int
        All image records.
    id2range : dict
        Identity record → (first, last + 1) of its images.
    header0 : (int, int)
        (N + 1, N + 1 + C).

    Raises
    ------
    InputError, FileNotFoundError
        The records are missing, have no header or are damaged; the message says how to mend it.
    """

    def __init__(
        self,
        batch_size,
        data_shape,
        path_imgrec=None,
        shuffle=False,
        aug_list=None,
        mean=None,
        rand_mirror=False,
        cutoff=0,
        data_name="data",
        label_name="softmax_label",
        threads=2,
        seed=None,
    ):
        super().__init__(
            batch_size,
            data_shape,
            path_imgrec,
            Augmentation(rand_mirror, aug_list, mean, cutoff),
            data_name,
            label_name,
            threads,
            seed,
        )
        self.shuffle = shuffle
        self.seq = self.imgidx
        if len(self.imgidx) < batch_size:
            log.warning(
                "%s holds %d images, fewer than a batch of %d: images are repeated within a batch",
                path_imgrec,
                len(self.imgidx),
                batch_size,
            )

    @property
    def batches_per_epoch(self):
        """At least one."""
        return max(len(self.seq) // self.batch_size, 1)

    def begin_epoch(self, epoch, first=0):
        """Begins the given epoch, at its batch `first`."""
        if not self.seq:
            raise InputError("FaceImageIter.seq is empty: there is no image to train on")
        if self.shuffle:
            ids = np.sort(np.asarray(self.seq, np.int64))
            self.seq = np.random.default_rng((self.seed, epoch)).permutation(ids).tolist()
        self.epoch = epoch
        self.batches.start(np.asarray(self.seq, np.int64), (self.seed, epoch), first)

    def state(self):
        """What `restore` needs to go on behind the last batch given, as plain numbers."""
        return {"seed": self.seed, "epoch": self.epoch, "batch": self.batches.position}

    def restore(self, state):
        """Goes on where the iterator that gave `state` was."""
        self.seed = state["seed"]
        self.begin_epoch(state["epoch"], state["batch"])


class FaceImageIterList(mx.io.DataIter):
    """Batches from several iterators, each from one drawn at random.

    An iterator that comes to its end is begun anew, so that there is no end of an epoch.

    Parameters
    ----------
    iter_list : list of DataIter
        All of one batch size and shape.
    """

    def __init__(self, iter_list):
        if not iter_list:
            raise InputError("FaceImageIterList needs at least one iterator")
        shapes = {tuple(iterator.provide_data[0].shape) for iterator in iter_list}
        if len(shapes) > 1:
            raise InputError(f"FaceImageIterList: iterators of different shapes {sorted(shapes)}")
        super().__init__(iter_list[0].provide_data[0].shape[0])
        self.provide_data = iter_list[0].provide_data
        self.provide_label = iter_list[0].provide_label
        self.iter_list = iter_list
        self.cur_iter = None

    def reset(self):
        """Begins the iterator used last anew, or all before the first batch."""
        for iterator in self.iter_list if self.cur_iter is None else [self.cur_iter]:
            iterator.reset()

    def next(self):
        """A batch of a randomly drawn iterator."""
        self.cur_iter = random.choice(self.iter_list)
        try:
            return self.cur_iter.next()
        except StopIteration:
            self.cur_iter.reset()
            return self.cur_iter.next()
