"""Training triplets, mined with the network as it stands: `FaceImageIter`."""

import logging
import time

import numpy as np
from sklearn.preprocessing import normalize

from src.common.errors import InputError
from src.common.image_batches import Augmentation
from src.common.mxnet_backend import mx
from src.common.triplet_mining import semi_hard_triplets, squared_distances
from src.image_iter import RecordImageIter

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"

# So many bags in a row without a single triplet, and mining gives up.
MOST_EMPTY_BAGS = 10


class NoTriplets(InputError):
    """Bag after bag gave no triplet."""


class FaceImageIter(RecordImageIter):
    """Batches of triplets (anchor, positive, negative) from `train.rec`.

    A bag of images, some of each identity, is embedded; semi-hard triplets are mined among them;
    an epoch is what the bag gave. A batch holds for each device its anchors, then its positives,
    then its negatives, (N,3,H,W) RGB 0..255, and their labels (N,).

    Parameters
    ----------
    batch_size : int
        Over all devices; a multiple of 3 on each.
    data_shape : (3, H, W)
    path_imgrec, shuffle, aug_list, mean, rand_mirror, cutoff, data_name, label_name, threads, seed
        As for `src.image_iter.FaceImageIter`; the order is always drawn.
    ctx_num : int
        Number of devices.
    images_per_identity : int
        At most so many images of an identity are in a bag.
    triplet_params : (int, float, float)
        Images in a bag, margin alpha, and the largest squared distance of a positive pair (0: any).
    mx_model : mx.mod.Module
        Bound for batches of `batch_size`, its first output the embedding.

    Attributes
    ----------
    seq : list of int
        Record numbers of this epoch's batches, in order.
    imgidx, id2range, header0
        As for `src.image_iter.FaceImageIter`.

    Raises
    ------
    InputError
        Settings with which no triplet can be mined, said before the first bag.
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
        ctx_num=1,
        images_per_identity=5,
        triplet_params=(3600, 0.3, 0.0),
        mx_model=None,
        threads=2,
        seed=None,
    ):
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
            Augmentation(rand_mirror, aug_list, mean, cutoff),
            data_name,
            label_name,
            threads,
            seed,
        )
        self._fit_bag_to_set(path_imgrec)
        self.bag = self.new_batches(threads)
        self.seq = []
        self.triplet_seq = []  # all images of the present round through the identities
        self.triplet_cur = 0  # how many of them have been in a bag
        self.round = -1

    def _check_settings(self, batch_size):
        if batch_size % self.ctx_num or self.per_batch_size % 3 or self.per_batch_size < 3:
            raise InputError(
                f"a batch of {batch_size} on {self.ctx_num} devices: each needs a multiple of "
                "3 images (--per-batch-size), as many anchors as positives and negatives"
            )
        if self.images_per_identity < 2:
            raise InputError(
                f"--images-per-identity {self.images_per_identity}: a positive pair takes 2 images"
            )
        if not self.triplet_alpha > 0:
            raise InputError(
                f"--triplet-alpha {self.triplet_alpha}: expected a margin above 0; with 0 no "
                "negative is ever within it"
            )
        if self.mx_model is None:
            raise InputError("FaceImageIter needs mx_model, the module that embeds the bag")

    def _fit_bag_to_set(self, path_imgrec):
        """A bag larger than what a round through the identities gives becomes that."""
        counts = np.array([stop - start for start, stop in self.id2range.values()])
        if len(counts) < 2 or counts.max() < 2:
            raise InputError(
                f"{path_imgrec}: triplets need at least 2 identities, and one of at least 2 images;"
                f" there are {len(counts)} identities, the largest of {counts.max()} images"
            )
        available = int(np.minimum(counts, self.images_per_identity).sum())
        if self.triplet_bag_size > available:
            log.warning(
                "a bag of %d is more than the %d images that %d identities give with "
                "--images-per-identity %d: bags of %d are mined (--triplet-bag-size %d says so)",
                self.triplet_bag_size,
                available,
                len(counts),
                self.images_per_identity,
                available,
                available,
            )
            self.triplet_bag_size = available
        if self.triplet_bag_size < 3:
            raise InputError(f"--triplet-bag-size {self.triplet_bag_size}: a triplet takes 3")

    @property
    def batches_per_epoch(self):
        """Of the present epoch; 0 before the first."""
        return len(self.seq) // self.batch_size

    def begin_epoch(self, epoch):
        """Mines the triplets of the given epoch."""
        self.select_triplets()
        self.epoch = epoch
        self.batches.start(np.asarray(self.seq, np.int64), (self.seed, epoch))

    def triplet_reset(self):
        """Mines the triplets of the next epoch."""
        self.begin_epoch(self.epoch + 1)

    def triplet_oseq_reset(self):
        """Draws a new round: identities in random order, some images of each, side by side."""
        self.round += 1
        generator = np.random.default_rng((self.seed, self.round, 0))
        self.triplet_seq = []
        for identity in generator.permutation(list(self.id2range)):
            images = generator.permutation(np.arange(*self.id2range[identity]))
            self.triplet_seq += images[: self.images_per_identity].tolist()
        self.triplet_cur = 0

    def select_triplets(self):
        """Mines bags until `seq` fills at least one batch.

        Raises
        ------
        NoTriplets
            After `MOST_EMPTY_BAGS` bags in a row without a triplet.
        """
        triplets = []
        empty_bags = 0
        while len(triplets) * 3 < self.batch_size:
            ids, labels = self._next_bag()
            began = time.perf_counter()
            embeddings = self._embed(ids, labels)
            embedded = time.perf_counter()
            starts = np.flatnonzero(np.diff(labels, prepend=np.nan))
            counts = np.diff(np.append(starts, len(labels)))
            found = self.pick_triplets(embeddings, counts)
            triplets += [tuple(ids[position] for position in triplet) for triplet in found]
            print("found triplets", len(found))
            log.info(
                "mined/bag %d/%d (embedding %.2f s, mining %.2f s)",
                len(found),
                len(ids),
                embedded - began,
                time.perf_counter() - embedded,
            )
            empty_bags = 0 if found else empty_bags + 1
            if empty_bags == MOST_EMPTY_BAGS:
                raise NoTriplets(self._why_empty())
        self.seq = self._arranged(triplets)

    def _why_empty(self):
        return (
            f"{MOST_EMPTY_BAGS} bags of {self.triplet_bag_size} images in a row gave no triplet: "
            f"no negative lies within --triplet-alpha {self.triplet_alpha:g} behind its positive. "
            "Either training has parted all identities of this set, and is done; or all embeddings "
            "are alike, which a lower --lr or another --pretrained mends"
            + (
                f"; or --triplet-max-ap {self.triplet_max_ap:g} leaves no positive pair"
                if self.triplet_max_ap > 0
                else ""
            )
        )

    def _next_bag(self):
        """Record numbers of the next bag, grouped by identity, and room for their labels."""
        if self.triplet_cur + self.triplet_bag_size > len(self.triplet_seq):
            self.triplet_oseq_reset()
        ids = self.triplet_seq[self.triplet_cur : self.triplet_cur + self.triplet_bag_size]
        self.triplet_cur += len(ids)
        print(f"eval {len(ids)} images..", self.triplet_cur)
        return ids, np.empty(len(ids), np.float32)

    def _embed(self, ids, labels):
        """Embeddings (N,D) of unit length; writes the records' labels to `labels` (N,)."""
        # The last batch is filled up with the bag's first images, whose embeddings are dropped.
        mx.nd.waitall()  # batch normalisation writes its statistics behind the engine's back
        padded = np.resize(ids, -(-len(ids) // self.batch_size) * self.batch_size)
        self.bag.start(padded, (self.seed, 0), augment=False)
        embeddings = []
        for begin in range(0, len(ids), self.batch_size):
            images, batch_labels = self.bag.next_batch()
            batch = mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(batch_labels)])
            self.mx_model.forward(batch, is_train=False)
            embeddings.append(self.mx_model.get_outputs()[0].asnumpy())
            labels[begin : begin + self.batch_size] = batch_labels[: len(ids) - begin]
        embeddings = np.concatenate(embeddings)[: len(ids)].astype(np.float64)
        if not np.isfinite(embeddings).all():
            raise InputError(
                "the network's embeddings are not finite: lower --lr, or start from another "
                "--pretrained"
            )
        return normalize(embeddings)

    def pairwise_dists(self, embeddings):
        """Squared distances (N,N), float32, between all embeddings (N,D)."""
        return squared_distances(embeddings)

    def pick_triplets(self, embeddings, nrof_images_per_class):
        """Shuffled list of semi-hard (anchor, positive, negative) positions.

        Parameters
        ----------
        embeddings : ndarray of shape (N, D)
            Of unit length, grouped by identity.
        nrof_images_per_class : sequence of int
            How many of them each identity has, in turn.
        """
        return semi_hard_triplets(
            embeddings,
            self.pairwise_dists(embeddings),
            nrof_images_per_class,
            self.triplet_alpha,
            self.triplet_max_ap,
        )

    def _arranged(self, triplets):
        """Record numbers batch by batch: per device anchors, positives, negatives."""
        per_device = self.per_batch_size // 3
        whole = len(triplets) // (per_device * self.ctx_num) * per_device * self.ctx_num
        blocks = np.array(triplets[:whole], np.int64).reshape(-1, per_device, 3)
        return blocks.transpose(0, 2, 1).ravel().tolist()

    def state(self):
        """What `restore` needs to go on behind the last batch given: numbers and lists of them."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "batch": self.batches.position,
            "round": self.round,
            "triplet_cur": self.triplet_cur,
            "seq": self.seq,
        }

    def restore(self, state):
        """Goes on where the iterator that gave `state` was."""
        self.seed, self.round = state["seed"], state["round"] - 1
        self.triplet_oseq_reset()
        self.triplet_cur = state["triplet_cur"]
        self.epoch, self.seq = state["epoch"], list(state["seq"])
        self.batches.start(np.asarray(self.seq, np.int64), (self.seed, self.epoch), state["batch"])
