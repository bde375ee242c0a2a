"""A part of the class vectors on one device: its logits, gradients and updates.

The classes of a data set are divided into ranges, the shards. Each shard computes the logits of all
images of a batch for its own classes. `ShardedClassifier` combines the shards' softmaxes.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.classification import ClassificationLoss
from src.training.class_vectors import (
    ROWS_AT_A_TIME,
    initial_vectors,
    inverse_lengths,
    sample_size,
    sample_with,
)


class Update(NamedTuple):
    """Learning rate, weight decay and momentum of an update."""

    rate: float
    decay: float
    momentum: float


class _Own(NamedTuple):
    """The entries at the images' own classes in the logits (N, S); arrays (N,) on the device.

    `mask` is 1 where the class belongs to this shard. `places` (2, N) are rows and columns, those
    of other classes at a column of no significance.
    """

    mask: mx.nd.NDArray
    columns: mx.nd.NDArray
    places: mx.nd.NDArray

    def pick(self, array: mx.nd.NDArray) -> mx.nd.NDArray:
        """The entries of `array` (N, S), as (N,)."""
        return mx.nd.pick(array, self.columns, axis=1)

    def replace(self, array: mx.nd.NDArray, values: mx.nd.NDArray) -> mx.nd.NDArray:
        """Changes the entries of `array` that belong to this shard; returns the former entries."""
        former = self.pick(array)
        mx.nd._internal._scatter_set_nd(
            lhs=array,
            rhs=mx.nd.where(self.mask, values, former),
            indices=self.places,
            shape=array.shape,
            out=array,
        )
        return former


class ClassShard:
    """The classes [first, stop) on a device.

    Parameters
    ----------
    loss
        A divisible one.
    weights
        Size of all class vectors together.
    sample_rate
        Share of the classes that a step uses: those of the batch, and random others.

    Attributes
    ----------
    arrays
        'fc7_weight' (R, D), and 'fc7_bias' (R, 1) if the loss has one; after `allocate`.
    momentum
        The same names; empty before the first update.
    rows
        The classes of the last step, counted from `first`, sorted.
    """

    def __init__(
        self,
        loss: ClassificationLoss,
        weights: ClassWeights,
        first: int,
        stop: int,
        context: mx.Context,
        sample_rate: float = 1.0,
    ) -> None:
        self.loss, self.first, self.stop, self.context = loss, first, stop, context
        self.sample_rate = sample_rate
        self._embedding_size = weights.embedding_size
        self.arrays: dict[str, mx.nd.NDArray] = {}
        self.momentum: dict[str, mx.nd.NDArray] = {}
        self._margin: mx.executor.Executor | None = None
        self._buffers: dict[str, mx.nd.NDArray] = {}

    def allocate(self) -> None:
        """Makes the arrays, if there are none yet."""
        columns = {"fc7_weight": self._embedding_size, "fc7_bias": 1}
        for name in columns if self.loss.has_bias else ("fc7_weight",):
            if name not in self.arrays:
                self.arrays[name] = mx.nd.zeros((self.size, columns[name]), self.context)

    @property
    def size(self) -> int:
        """Number of classes."""
        return self.stop - self.first

    def choose(self, labels: np.ndarray, generator: np.random.Generator) -> None:
        """Chooses the classes of a step.

        Parameters
        ----------
        labels
            int (N,), of all classes; those of this shard's classes that occur are always chosen.
        """
        local = labels - self.first
        inside = (local >= 0) & (local < self.size)
        if self.sample_rate < 1:
            present = np.unique(local[inside])
            wanted = sample_size(self.size, self.sample_rate, len(labels))
            self.rows = sample_with(present, self.size, wanted, generator)
            local = np.searchsorted(self.rows, np.where(inside, local, 0))
            row_ids = self._device_array(self.rows, np.int64)
            self._used = {
                name: mx.nd.take(
                    array,
                    row_ids,
                    mode="clip",
                    out=self._buffer(name, (len(self.rows), array.shape[1])),
                )
                for name, array in self.arrays.items()
            }
        else:
            self.rows = np.arange(self.size)
            self._used = self.arrays
        columns = np.where(inside, local, 0)
        places = np.stack([np.arange(len(labels)), columns])
        self._own = _Own(
            self._device_array(inside, np.float32),
            self._device_array(columns, np.float32 if self.size < 1 << 24 else np.int32),
            self._device_array(places, np.int64),
        )

    def _buffer(self, name: str, shape: tuple[int, int]) -> mx.nd.NDArray:
        """An array that is allocated once and used in every step."""
        if name not in self._buffers or self._buffers[name].shape != shape:
            self._buffers[name] = mx.nd.empty(shape, self.context)
        return self._buffers[name]

    def _device_array(self, values: np.ndarray, dtype: type) -> mx.nd.NDArray:
        return mx.nd.array(values, ctx=self.context, dtype=dtype)

    def forward(self, features: mx.nd.NDArray) -> mx.nd.NDArray:
        """Computes the softmax over the chosen classes; returns the `Statistics` as one (4, N).

        Parameters
        ----------
        features
            (N, D), see `ClassificationLoss.features`.
        """
        self._features = features
        weight = self._used["fc7_weight"]
        shape = (len(features), len(weight))
        logits, self._probabilities = (self._buffer(name, shape) for name in ("logits", "softmax"))
        mx.nd.FullyConnected(features, weight, num_hidden=shape[1], no_bias=True, out=logits)
        if self.loss.unit_classes:
            # (1, S); the class vectors themselves are never copied
            self._inverse = inverse_lengths(weight)
            mx.nd.broadcast_mul(logits, self._inverse, out=logits)
        if self.loss.has_bias:
            bias = self._used["fc7_bias"].reshape((1, -1))
            mx.nd.broadcast_add(logits, bias, out=logits)
        plain = self._own.pick(logits)
        target, self._slope = self._with_margin(plain)
        self._own.replace(logits, target)
        mx.nd.softmax(logits, axis=1, out=self._probabilities)
        best_column = mx.nd.argmax(logits, axis=1)
        best = mx.nd.pick(logits, best_column, axis=1)
        log_sum = best - mx.nd.log(mx.nd.pick(self._probabilities, best_column, axis=1))
        is_best = target >= best
        self._own.replace(logits, plain)
        self._logits = logits
        mask = self._own.mask
        unknown = mx.nd.full(mask.shape, np.nan, self.context)
        own, own_is_best = (mx.nd.where(mask, array, unknown) for array in (target, is_best))
        return mx.nd.stack(log_sum, best, own, own_is_best)

    def _with_margin(self, plain: mx.nd.NDArray) -> tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """The own class's logit with its margin, and the derivative of that, (N,) each."""
        symbol = self.loss.target(mx.sym.var("own"))
        if symbol is None:
            return plain, mx.nd.ones_like(plain)
        if self._margin is None or self._margin.arg_dict["own"].shape != plain.shape:
            self._margin = symbol.simple_bind(self.context, own=plain.shape)
        target = self._margin.forward(is_train=True, own=plain)[0]
        self._margin.backward(mx.nd.ones_like(plain))
        return target, self._margin.grad_dict["own"]

    def backward(self, share: np.ndarray, own_probability: np.ndarray) -> mx.nd.NDArray:
        """The gradient of the batch's mean loss with respect to the features, (N, D).

        Parameters
        ----------
        share
            (N,): the shard's sum of exponentials, divided by that of all shards.
        own_probability
            (N,): the probability of each image's own class.
        """
        gradient = self._probabilities  # of the logits, (N, S)
        images = len(share)
        scale = self._device_array(share[:, None] / images, np.float32)
        mx.nd.broadcast_mul(gradient, scale, out=gradient)
        own = self._device_array((own_probability - 1) / images, np.float32)
        self._own.replace(gradient, own * self._slope)
        every_image = mx.nd.ones((1, images), self.context)
        if self.loss.has_bias:
            self._bias_gradient = mx.nd.dot(every_image, gradient).reshape((-1, 1))
        if self.loss.unit_classes:
            # (1, S): how much each class vector shrinks for having been divided by its length
            mx.nd.elemwise_mul(gradient, self._logits, out=self._logits)
            along = mx.nd.dot(every_image, self._logits)
            self._shrink = along * mx.nd.square(self._inverse)
            mx.nd.broadcast_mul(gradient, self._inverse, out=gradient)
        return mx.nd.dot(gradient, self._used["fc7_weight"])

    def gradients(self, name: str) -> Iterator[tuple[slice, mx.nd.NDArray]]:
        """The gradient of an array's chosen rows: parts, and their places among these rows.

        Before `update`.
        """
        for begin in range(0, len(self.rows), ROWS_AT_A_TIME):
            part = slice(begin, min(begin + ROWS_AT_A_TIME, len(self.rows)))
            if name == "fc7_bias":
                yield part, self._bias_gradient[part]
                continue
            columns = mx.nd.slice_axis(self._probabilities, axis=1, begin=begin, end=part.stop)
            # (rows, N)·(N, D)
            gradient = mx.nd.FullyConnected(
                columns.T,
                self._features.T,
                num_hidden=self._features.shape[1],
                no_bias=True,
            )
            if self.loss.unit_classes:
                shrink = self._shrink[0, part].expand_dims(1)
                mx.nd.elemwise_sub(
                    gradient,
                    mx.nd.broadcast_mul(self._used[name][part], shrink),
                    out=gradient,
                )
            yield part, gradient

    def update(self, settings: Mapping[str, Update]) -> float:
        """Updates the chosen rows; returns the sum of the squares of their gradients.

        Other rows keep their momentum, and have no weight decay.

        Parameters
        ----------
        settings
            By the name of the array.
        """
        squares = []
        for name, array in self.arrays.items():
            if settings[name].momentum and name not in self.momentum:
                self.momentum[name] = mx.nd.zeros_like(array)
            for part, gradient in self.gradients(name):
                flat = gradient.reshape((-1,))
                squares.append(mx.nd.dot(flat, flat))
                self._update_rows(name, part, gradient, settings[name])
        return float(sum(square.asscalar() for square in squares))

    def _update_rows(
        self, name: str, part: slice, gradient: mx.nd.NDArray, settings: Update
    ) -> None:
        array, momentum = self.arrays[name], self.momentum.get(name)
        rows = self.rows[part]
        if len(self.rows) < self.size:
            ids = self._device_array(rows, np.int64)
            gradient = mx.nd.sparse.row_sparse_array((gradient, ids), array.shape, self.context)
        else:  # views of a dense array
            array = array[part]
            momentum = None if momentum is None else momentum[part]
        options = {"lr": settings.rate, "wd": settings.decay, "out": array}
        if momentum is None:
            mx.nd.sgd_update(array, gradient, **options)
        else:
            mx.nd.sgd_mom_update(array, gradient, momentum, momentum=settings.momentum, **options)

    def initialise(self, initializer: mx.init.Initializer, num_classes: int, seed: int) -> None:
        """Random class vectors, those that any other division of the classes gives too."""
        weight = self.arrays["fc7_weight"]
        shape = (num_classes, weight.shape[1])
        for first, values in initial_vectors(initializer, shape, self.first, self.stop, seed):
            begin = first - self.first
            weight[begin : begin + len(values)] = values
