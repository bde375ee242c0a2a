"""What a training log shows beside the speed: accuracy on the batch, and the loss."""

import numpy as np

from src.common.mxnet_backend import mx

# A probability below this is taken for this, as its logarithm would be infinite.
SMALLEST_PROBABILITY = 1e-30


class _RunningMean(mx.metric.EvalMetric):
    """A mean since the last speed line (local), and one over the epoch (global)."""

    def __init__(self, name):
        super().__init__(name, has_global_stats=True)

    def add(self, total, count):
        self.sum_metric += total
        self.num_inst += count
        self.global_sum_metric += total
        self.global_num_inst += count


def _flat_labels(label):
    """Class numbers (N,) of a label array (N,) or (N, k), whose first column they are."""
    label = label.asnumpy()
    return (label[:, 0] if label.ndim == 2 else label).astype(np.int64)


class AccMetric(_RunningMean):
    """`acc`: share of images whose most probable class is theirs.

    With a margin loss the margin is in, so that it stays low for long.
    """

    def __init__(self):
        super().__init__("acc")

    def update(self, labels, preds):
        """Adds a batch.

        Parameters
        ----------
        labels : list of one NDArray (N,)
        preds : list of NDArray
            The head's outputs; the second is the probabilities (N, C).
        """
        best = preds[1].argmax(axis=1).asnumpy().astype(np.int64)
        self.add(float((best == _flat_labels(labels[0])).sum()), len(best))


class CrossEntropyMetric(_RunningMean):
    """`lossvalue` of a softmax head: mean of -ln(probability of the own class)."""

    def __init__(self):
        super().__init__("lossvalue")

    def update(self, labels, preds):
        """Adds a batch; parameters as for `AccMetric.update`."""
        label = labels[0][:, 0] if labels[0].ndim == 2 else labels[0]
        own = preds[1].pick(label.as_in_context(preds[1].context), axis=1).asnumpy()
        # `maximum` hands NaN on, which the guard against it relies on.
        losses = -np.log(np.maximum(own.astype(np.float64), SMALLEST_PROBABILITY))
        self.add(float(losses.sum()), len(own))


class LossValueMetric(_RunningMean):
    """`lossvalue` of a head whose last output is its loss, as the triplet head's."""

    def __init__(self):
        super().__init__("lossvalue")

    def update(self, labels, preds):
        """Adds a batch; `labels` are not looked at."""
        self.add(float(preds[-1].asnumpy().ravel()[0]), 1)
