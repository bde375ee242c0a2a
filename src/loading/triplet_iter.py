"""Training triplets, mined with the network in its current state: 2018's `FaceImageIter`."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from src.common.errors import InputError, NoMoreData, StopRequested
from src.common.mxnet_backend import mx
from src.common.workers import Workers
from src.formats.face_layout import check_own_labels
from src.loading.face_iter import RecordImageIter
from src.loading.image_batches import Augmenter
from src.loading.triplet_mining import (
    Triplet,
    arranged,
    of_unit_length,
    semi_hard_triplets,
    squared_distances,
    why_none,
)

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"

# Mining gives up after this many bags in a row without a triplet.
MOST_EMPTY_BAGS = 10


class NoTriplets(NoMoreData):
    """Several bags in a row gave no triplet."""


class FaceImageIter(RecordImageIter):
    """Batches of triplets (anchor, positive, negative) from `train.rec`.

    A bag of images, some of each identity, is embedded, and semi-hard triplets are mined in it; an
    epoch consists of the triplets of one bag. For each device, a batch contains its anchors, then
    its positives, then its negatives, (N, 3, H, W) RGB 0..255, and their labels (N,).

    Parameters
    ----------
    batch_size
        Over all devices of this worker; a multiple of 3 on each.
    ctx_num
        Number of devices of this worker.
    images_per_identity
        Largest number of images of one identity in a bag.
    triplet_params
        Images in a bag, margin alpha, and the largest squared distance of a positive pair (0: any).
    mx_model
        A Module bound for batches of `batch_size` whose first output is the embedding.
    shuffle
        No effect: the order is always random.

    The other parameters are those of `src.loading.face_iter.RecordImageIter`.

    Attributes
    ----------
    seq
        Record numbers of this epoch's batches, in order.
    imgidx, id2range, header0
        As for `src.loading.face_iter.FaceImageIter`.

    Raises
    ------
    InputError
        The settings cannot give a triplet; checked before the first bag.
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
        ctx_num: int = 1,
        images_per_identity: int = 5,
        triplet_params: Sequence[Any] = (3600, 0.3, 0.0),
        mx_model: mx.mod.Module | None = None,
        threads: int = 2,
        seed: int | None = None,
        workers: Workers | None = None,
        **unknown: Any,
    ) -> None:
        self.ctx_num = ctx_num
        self.per_batch_size = batch_size // ctx_num
        self.images_per_identity = images_per_identity
        self.triplet_bag_size, self.triplet_alpha, self.triplet_max_ap = triplet_params
        self.mx_model = mx_model
        self._check_settings(batch_size)
        super().__init__(
            batch_size,
            data_shape,
            path_imgrec,
            shuffle,
            aug_list,
            mean,
            rand_mirror,
            cutoff,
            data_name,
            label_name,
            threads,
            seed,
            workers,
            **unknown,
        )
        self.bag = self._new_batches()
        self.seq = []
        self.triplet_seq: list[int] = []  # all images of this round through the identities
        self.triplet_cur = 0  # how many of them have been in a bag
        self.round = -1

    def _check_settings(self, batch_size: int) -> None:
        if batch_size % self.ctx_num or self.per_batch_size % 3 or self.per_batch_size < 3:
            raise InputError(
                f"a batch of {batch_size} on {self.ctx_num} devices: each device needs a multiple "
                "of 3 images, one third each of anchors, positives and negatives; change "
                "--per-batch-size"
            )
        if self.images_per_identity < 2:
            raise InputError(
                f"--images-per-identity {self.images_per_identity}: a positive pair needs 2 images"
            )
        if not self.triplet_alpha > 0:
            raise InputError(
                f"--triplet-alpha {self.triplet_alpha}: expected a margin above 0; with 0 no "
                "negative is ever inside it"
            )
        if self.mx_model is None:
            raise InputError("FaceImageIter needs mx_model, the module that embeds the bag")

    def _check_records(self) -> None:
        """Reduces the bag size to what one round through the identities gives."""
        check_own_labels(self.reader, self.layout)
        counts = np.array([stop - start for start, stop in self.id2range.values()])
        if len(counts) < 2 or counts.max() < 2:
            raise InputError(
                f"{self.reader.path}: triplets need at least 2 identities, and one of at least 2 "
                f"images; there are {len(counts)} identities, the largest of {counts.max()} images"
            )
        available = int(np.minimum(counts, self.images_per_identity).sum())
        if self.triplet_bag_size > available:
            log.warning(
                f"a bag of {self.triplet_bag_size} is larger than the {available} images that "
                f"{len(counts)} identities give with --images-per-identity "
                f"{self.images_per_identity}; using bags of {available}, as with "
                f"--triplet-bag-size {available}"
            )
            self.triplet_bag_size = available
        if self.triplet_bag_size < 3:
            raise InputError(f"--triplet-bag-size {self.triplet_bag_size}: at least 3 are needed")

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in the current epoch; 0 before the first."""
        return len(self.seq) // self.whole_batch_size

    def epoch_length(self) -> tuple[None, int]:
        """(None, images in a bag): mining decides how many triplets an epoch has."""
        return None, self.triplet_bag_size

    def begin_epoch(self, epoch: int, first: int = 0) -> None:
        """Mines the triplets of the given epoch, and starts it at its batch `first`.

        After a StopRequested the iterator is where it was before.
        """
        before = (self.round, self.triplet_seq, self.triplet_cur)
        try:
            self.select_triplets()
        except StopRequested:
            self.round, self.triplet_seq, self.triplet_cur = before
            raise
        self.epoch = epoch
        self.batches.start(np.asarray(self.seq, np.int64), (self.seed, epoch), first)

    def triplet_reset(self) -> None:
        """Mines the triplets of the next epoch."""
        self.begin_epoch(self.epoch + 1)

    def triplet_oseq_reset(self) -> None:
        """Draws a new round: the identities in random order, with some images of each."""
        self.round += 1
        generator = np.random.default_rng((self.seed, self.round, 0))
        self.triplet_seq = []
        for identity in generator.permutation(list(self.id2range)):
            images = generator.permutation(np.arange(*self.id2range[identity]))
            self.triplet_seq += images[: self.images_per_identity].tolist()
        self.triplet_cur = 0

    def select_triplets(self) -> None:
        """Mines bags until `seq` fills at least one batch.

        Raises
        ------
        NoTriplets
            After `MOST_EMPTY_BAGS` bags in a row without a triplet.
        """
        triplets: list[Triplet] = []
        empty_bags = 0
        while len(triplets) * 3 < self.whole_batch_size:
            ids, labels = self._next_bag()
            started, before = time.perf_counter(), self.bag.wait_seconds
            embeddings = self._embed(ids, labels)
            embedded, waited = time.perf_counter(), self.bag.wait_seconds - before
            starts = np.flatnonzero(np.diff(labels, prepend=np.nan))
            found = self.pick_triplets(embeddings, np.diff(np.append(starts, len(labels))))
            triplets += [(ids[a], ids[p], ids[n]) for a, p, n in found]
            print("found triplets", len(found))
            seconds = (embedded - started, waited, time.perf_counter() - embedded)
            log.info(
                f"mined/bag {len(found)}/{len(ids)} "
                "(embedding {:.2f} s, of it data-wait {:.2f} s, mining {:.2f} s)".format(*seconds)
            )
            empty_bags = 0 if found else empty_bags + 1
            if empty_bags == MOST_EMPTY_BAGS:
                raise NoTriplets(
                    f"{MOST_EMPTY_BAGS} bags of {self.triplet_bag_size} images in a row gave no "
                    f"triplet: {why_none(self.triplet_alpha, self.triplet_max_ap)}"
                )
        self.seq = arranged(triplets, self.per_batch_size // 3, self.ctx_num * self.workers.count)

    def _next_bag(self) -> tuple[list[int], np.ndarray]:
        """Record numbers of the next bag, grouped by identity, and an array for their labels."""
        if self.triplet_cur + self.triplet_bag_size > len(self.triplet_seq):
            self.triplet_oseq_reset()
        ids = self.triplet_seq[self.triplet_cur : self.triplet_cur + self.triplet_bag_size]
        self.triplet_cur += len(ids)
        print(f"eval {len(ids)} images..", self.triplet_cur)
        return ids, np.empty(len(ids), np.float32)

    def _embed(self, ids: list[int], labels: np.ndarray) -> np.ndarray:
        """Embeddings (N, D) of unit length; writes the records' labels to `labels` (N,)."""
        assert self.mx_model is not None  # checked in the constructor
        # The last batch is filled with the bag's first images, whose embeddings are dropped.
        size = self.whole_batch_size
        mx.nd.waitall()  # the engine does not track batch normalisation's writes to its statistics
        padded = np.resize(ids, -(-len(ids) // size) * size)
        self.bag.start(padded, (self.seed, 0), augment=False)
        outputs = []
        for begin in range(0, len(ids), size):
            self.check_stop()
            images, batch_labels = self.bag.next_batch()
            batch = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(batch_labels)])
            self.mx_model.forward(batch, is_train=False)
            embedded = self.mx_model.get_outputs()[0]
            outputs.append(self.workers.gathered_rows("bag", embedded).asnumpy())
            of_all = self.workers.gathered(batch_labels).ravel()
            labels[begin : begin + size] = of_all[: len(ids) - begin]
        return of_unit_length(np.concatenate(outputs)[: len(ids)])

    def pairwise_dists(self, embeddings: np.ndarray) -> np.ndarray:
        """Squared distances (N, N), float32, between all embeddings (N, D)."""
        return squared_distances(embeddings)

    def pick_triplets(
        self, embeddings: np.ndarray, nrof_images_per_class: Sequence[int] | np.ndarray
    ) -> list[Triplet]:
        """Shuffled list of semi-hard (anchor, positive, negative) positions.

        Parameters
        ----------
        embeddings
            (N, D), of unit length, grouped by identity.
        nrof_images_per_class
            Number of embeddings of each identity, in order.
        """
        return semi_hard_triplets(
            embeddings,
            nrof_images_per_class,
            self.triplet_alpha,
            self.triplet_max_ap,
            self.check_stop,
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue after the last batch: numbers and lists of numbers."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "batch": self.batches.position,
            "round": self.round,
            "triplet_cur": self.triplet_cur,
            "seq": self.seq,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where the iterator that returned `state` was."""
        self.seed, self.round = state["seed"], state["round"] - 1
        self.triplet_oseq_reset()
        self.triplet_cur = state["triplet_cur"]
        self.epoch, self.seq = state["epoch"], list(state["seq"])
        self.batches.start(np.asarray(self.seq, np.int64), (self.seed, self.epoch), state["batch"])
