"""A classifier whose classes are divided among the devices, all or a sample of them per step.

Every device computes the logits of the whole batch for its own classes. Only embeddings, their
gradients, and a few numbers per image are exchanged. The loss is that of the dense classifier.

Sampling is the method of Partial FC, An et al., arXiv 2010.05222: a step uses the classes of the
batch and a random share of the others.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx
from src.common.workers import Workers
from src.losses.base import ClassWeights, Loss
from src.losses.classification import ClassificationLoss
from src.losses.metrics import MeanMetric
from src.training.class_shard import ClassShard, Update
from src.training.class_vectors import sample_size
from src.training.classifiers import FLOAT, Classifier
from src.training.shared_rows import Part, collected, distribute
from src.training.softmax_parts import Statistics, combine

LARGEST_ARRAY = 1 << 31  # elements, in MXNet 1.9.1


def check_divisible(loss: Loss) -> ClassificationLoss:
    """The loss; InputError if its classes cannot be divided."""
    if isinstance(loss, ClassificationLoss) and loss.divisible:
        return loss
    raise InputError(
        f"--loss-type {loss.number} ({loss.title}) does not work with --fc7-shard and "
        "--fc7-sample: use 0, 2, 4 or 5, or leave both out"
    )


class ShardedClassifier(Classifier):
    """The classes divided among the devices.

    Parameters
    ----------
    loss
        One that is divisible: 0, 2, 4 or 5.
    weights
        Size and multipliers of the class vectors.
    contexts
        Of this worker.
    sample_rate
        Share of the classes in a step, above 0; 1 uses all.
    workers
        The classes are divided among the devices of all of them.
    """

    def __init__(
        self,
        loss: Loss,
        weights: ClassWeights,
        contexts: Sequence[mx.Context],
        sample_rate: float = 1.0,
        workers: Workers | None = None,
    ) -> None:
        self.loss: ClassificationLoss = check_divisible(loss)
        if weights.num_classes * weights.embedding_size >= LARGEST_ARRAY:
            raise InputError(
                f"{weights.num_classes} classes with --emb-size {weights.embedding_size}: a "
                f"checkpoint's fc7_weight can have up to {LARGEST_ARRAY - 1} numbers; use a "
                "smaller --emb-size"
            )
        self.weights = weights
        self.num_classes = weights.num_classes
        self.contexts = list(contexts)
        self.sample_rate = sample_rate
        self.workers = workers or Workers()
        self.devices = len(self.contexts) * self.workers.count
        bounds = np.linspace(0, weights.num_classes, self.devices + 1).astype(int).tolist()
        parts = [part for part in itertools.pairwise(bounds) if part[1] > part[0]]
        self.sizes = [stop - first for first, stop in parts]
        self.first_shard = self.workers.rank * len(self.contexts)
        own = parts[self.first_shard : self.first_shard + len(self.contexts)]
        self.shards = [
            ClassShard(self.loss, weights, first, stop, context, sample_rate)
            for (first, stop), context in zip(own, self.contexts, strict=False)
        ]
        self._has_gradients = False

    def saved_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """That of the dense classifier."""
        return self.loss.head(embedding, self.weights)

    def trained_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """Group of the embedding (no gradient) and the features that are classified, (N, D)."""
        unchanged = mx.sym.BlockGrad(embedding, name="blockgrad0")
        return mx.sym.Group([unchanged, self.loss.features(embedding)])

    def describe(self, embedding_size: int) -> list[str]:
        """How the classes are divided, and what to expect of the loss."""
        lines = [
            f"the {self.num_classes} classes are divided: up to {max(self.sizes)} on each device"
        ]
        if self.sample_rate == 1:
            return [*lines, *self.loss.describe(self.num_classes, embedding_size)]
        used = sum(math.ceil(self.sample_rate * size) for size in self.sizes)
        lines.append(
            f"each step uses {used} classes (or as many as a batch has images), those of the batch "
            "and random others "
            f"(--fc7-sample {self.sample_rate:g}): loss and accuracy are those among them; the "
            "vectors of the other classes have no momentum and no weight decay in that step"
        )
        return [*lines, *self.loss.describe(used, embedding_size)]

    def metrics(self) -> list[mx.metric.EvalMetric]:
        """Accuracy and mean cross entropy, with sampling among the classes of the step."""
        return [MeanMetric("acc"), MeanMetric("lossvalue")]

    def bytes_per_device(self, batch_size: int, has_momentum: bool) -> int:
        """Class vectors, momentum, the sample, and two of logits, of the largest part."""
        images, size = batch_size * self.devices, self.weights.embedding_size
        largest = max(self.sizes)
        used = sample_size(largest, self.sample_rate, images)
        vectors = (1 + has_momentum) * largest + used * (self.sample_rate < 1)
        return FLOAT * (vectors * size + 2 * images * used)

    def label_shapes(self, batch_size: int) -> list[tuple[str, tuple[int, ...]]]:
        """None: the graph ends before the labels are used."""
        return []

    def forward_backward(self, module: mx.mod.Module, batch: mx.io.DataBatch, step: int) -> None:
        """Computes all gradients of a batch."""
        module.forward(mx.io.DataBatch(batch.data), is_train=True)
        own_features = module.get_outputs()[1]
        images = len(own_features)
        labels = batch.label[0].asnumpy().reshape(images, -1)[:, 0]
        labels = self.workers.gathered(labels).ravel().astype(np.int64)
        features = self.workers.gathered_rows("features", own_features)
        told = {}
        for number, shard in enumerate(self.shards, self.first_shard):
            shard.choose(labels, np.random.default_rng((self.seed, step, number)))
            told[number] = shard.forward(features.as_in_context(shard.context))
        shares, own_probability, results = combine(Statistics(*self._of_all_shards(told, labels)))
        gradient = mx.nd.zeros_like(features)
        for number, shard in enumerate(self.shards, self.first_shard):
            part = shard.backward(shares[number], own_probability)
            gradient += part.as_in_context(gradient.context)
        self.workers.add_up("features", gradient)
        own = slice(self.workers.rank * images, (self.workers.rank + 1) * images)
        self._results = {name: values[own] for name, values in results.items()}
        # The optimizer divides the sum over the devices by their number; see `make_optimizer`.
        gradient = gradient[own] * (self.devices * self.gradient_scale)
        module.backward([gradient, gradient])  # the first output passes none on
        self._has_gradients = True

    def _of_all_shards(self, told: dict[int, mx.nd.NDArray], labels: np.ndarray) -> np.ndarray:
        """The statistics (4, shards, N), float64, given those of this worker by shard number."""
        table = np.zeros((len(self.sizes), 4, len(labels)), np.float32)
        for number, array in told.items():
            table[number] = array.asnumpy()
        if self.workers.is_distributed:
            exchanged = mx.nd.array(table)
            self.workers.add_up("statistics", exchanged)
            table = exchanged.asnumpy()
        return table.astype(np.float64).transpose(1, 0, 2)

    def update(self, module: mx.mod.Module, optimizer: mx.optimizer.Optimizer, step: int) -> None:
        """Updates all parameters from their gradients."""
        module.update()
        rate = optimizer.lr_scheduler(step)
        lr_mult, wd_mult = self.weights.lr_mult, self.weights.wd_mult
        settings = {
            "fc7_weight": Update(rate * lr_mult, optimizer.wd * wd_mult, optimizer.momentum),
            "fc7_bias": Update(rate, optimizer.wd, optimizer.momentum),
        }
        self.gradient_square = sum(shard.update(settings) for shard in self.shards)
        self._has_gradients = False

    def outputs(self, module: mx.mod.Module) -> Parameters:
        """The embedding, and the loss of each image of the last batch."""
        losses = mx.nd.array(self._results["lossvalue"])
        return {"blockgrad0_output": module.get_outputs()[0], "loss": losses}

    def update_metric(
        self, module: mx.mod.Module, metric: mx.metric.EvalMetric, labels: list[mx.nd.NDArray]
    ) -> None:
        """Adds the last batch to a metric made by `metrics`."""
        for member in getattr(metric, "metrics", [metric]):
            if isinstance(member, MeanMetric):
                member.add_values(self._results[member.name])

    def own_parameters(self) -> Parameters:
        """The class vectors, and their biases if the loss has them, on the CPU."""
        return self._joined([shard.arrays for shard in self.shards])

    def _joined(self, parts: list[Parameters]) -> Parameters:
        """Arrays of all shards by name; the arrays themselves, not copies, if there is one.

        Several workers have them on the first one only.
        """
        joined = {}
        for name in self.workers.from_first(lambda: list(parts[0])):
            placed = self._placed(name, parts)
            array = (
                placed[0][1].as_in_context(mx.cpu())
                if self.devices == 1
                else collected(self.workers, placed, self._shape(name))
            )
            if array is not None:
                joined[name] = array.reshape((-1,)) if name == "fc7_bias" else array
        return joined

    def _distribute(self, given: Parameters, parts: list[Parameters]) -> None:
        """Writes the first worker's arrays to those of the shards."""
        for name in self.workers.from_first(lambda: [n for n in parts[0] if n in given]):
            distribute(self.workers, given.get(name), self._placed(name, parts), self._shape(name))

    def _placed(self, name: str, parts: list[Parameters]) -> list[Part]:
        return [(shard.first, part[name]) for shard, part in zip(self.shards, parts, strict=True)]

    def _shape(self, name: str) -> tuple[int, int]:
        return (self.num_classes, 1 if name == "fc7_bias" else self.weights.embedding_size)

    def set_own_parameters(
        self, arg_params: Parameters | None, initializer: mx.init.Initializer
    ) -> None:
        """Sets the class vectors; those of a new run are the same for any number of devices."""
        given = arg_params or {}
        for shard in self.shards:
            shard.allocate()
        if not self.workers.from_first(lambda: "fc7_weight" in given):
            for shard in self.shards:
                shard.initialise(initializer, self.num_classes, self.seed)
        self._distribute(given, [shard.arrays for shard in self.shards])

    def own_gradients(self) -> Parameters:
        """Gradients of `own_parameters`, between `forward_backward` and `update`; else none."""
        if not self._has_gradients:
            return {}
        parts = []
        for shard in self.shards:
            part = {name: mx.nd.zeros_like(array) for name, array in shard.arrays.items()}
            for name, array in part.items():
                for place, gradient in shard.gradients(name):
                    array[mx.nd.array(shard.rows[place], dtype=np.int32)] = gradient
            parts.append(part)
        return self._joined(parts)

    def own_momentum(self) -> Parameters:
        """Momentum of the class vectors; empty before the first update."""
        return self._joined([shard.momentum for shard in self.shards])

    def set_own_momentum(self, momentum: Parameters) -> None:
        """Restores the momentum."""
        names = self.workers.from_first(lambda: [n for n in self.shards[0].arrays if n in momentum])
        for shard in self.shards:
            shard.momentum = {name: mx.nd.zeros_like(shard.arrays[name]) for name in names}
        self._distribute(momentum, [shard.momentum for shard in self.shards])
