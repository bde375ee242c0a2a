"""The metrics of a training log: accuracy on the training batches, and the loss."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from src.common.mxnet_backend import mx
from src.common.workers import Workers

# Smaller probabilities count as this one, because the logarithm of 0 is infinite.
SMALLEST_PROBABILITY = 1e-30


class _RunningMean(mx.metric.EvalMetric):
    """A mean since the last speed line (local), and one over the epoch (global)."""

    def __init__(self, name: str) -> None:
        super().__init__(name, has_global_stats=True)

    def add(self, total: float, count: int) -> None:
        """Adds `count` values with the sum `total`."""
        self.sum_metric += total
        self.num_inst += count
        self.global_sum_metric += total
        self.global_num_inst += count


@contextlib.contextmanager
def added_by_all(workers: Workers, metric: mx.metric.EvalMetric) -> Iterator[None]:
    """Everything that the workers add to a metric in the block is added on each of them."""
    if not workers.is_distributed:
        yield
        return
    members = getattr(metric, "metrics", [metric])
    before = [(each.sum_metric, each.num_inst) for each in members]
    whole = [(each.global_sum_metric, each.global_num_inst) for each in members]
    yield
    gained = [
        (each.sum_metric - total, each.num_inst - count)
        for each, (total, count) in zip(members, before, strict=True)
    ]
    for each, local, epoch, (total, count) in zip(
        members, before, whole, workers.total(gained).tolist(), strict=True
    ):
        each.sum_metric, each.num_inst = local[0] + total, local[1] + int(count)
        each.global_sum_metric, each.global_num_inst = epoch[0] + total, epoch[1] + int(count)


def _flat_labels(label: mx.nd.NDArray) -> mx.nd.NDArray:
    """Class numbers (N,) of labels (N,) or (N, k), where they are the first column."""
    return label[:, 0] if label.ndim == 2 else label


class AccMetric(_RunningMean):
    """`acc`: share of images whose own class is the most probable one.

    With a margin loss the probabilities include the margin, so it can stay low for a long time.
    """

    def __init__(self) -> None:
        super().__init__("acc")

    def update(self, labels: Sequence[mx.nd.NDArray], preds: Sequence[mx.nd.NDArray]) -> None:
        """Adds a batch.

        Parameters
        ----------
        labels
            One array, (N,) or (N, k).
        preds
            The head's outputs; the second is the probabilities (N, C).
        """
        best = preds[1].argmax(axis=1).asnumpy().astype(np.int64)
        own = _flat_labels(labels[0]).asnumpy().astype(np.int64)
        self.add(float((best == own).sum()), len(best))


class CrossEntropyMetric(_RunningMean):
    """`lossvalue` of a softmax head: mean of -ln(probability of the own class)."""

    def __init__(self) -> None:
        super().__init__("lossvalue")

    def update(self, labels: Sequence[mx.nd.NDArray], preds: Sequence[mx.nd.NDArray]) -> None:
        """Adds a batch; parameters as for `AccMetric.update`."""
        label = _flat_labels(labels[0])
        own = preds[1].pick(label.as_in_context(preds[1].context), axis=1).asnumpy()
        # `maximum` passes NaN on; the hook that stops a diverged run relies on it.
        losses = -np.log(np.maximum(own.astype(np.float64), SMALLEST_PROBABILITY))
        self.add(float(losses.sum()), len(own))


class MeanMetric(_RunningMean):
    """A mean of values that a classifier computes for each image."""

    def add_values(self, values: np.ndarray) -> None:
        """Adds the values (N,) of a batch."""
        self.add(float(values.sum()), len(values))


class LossValueMetric(_RunningMean):
    """`lossvalue` of a head whose last output is its loss, such as the triplet head."""

    def __init__(self) -> None:
        super().__init__("lossvalue")

    def update(
        self, labels: Sequence[mx.nd.NDArray] | None, preds: Sequence[mx.nd.NDArray]
    ) -> None:
        """Adds a batch; `labels` are ignored. 2018: with several devices, the loss of the first."""
        self.add(float(preds[-1].asnumpy().ravel()[0]), 1)
