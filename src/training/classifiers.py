"""Classifiers, which compute a loss from embeddings and own the class vectors.

A `Trainer` combines a backbone, which computes embeddings, with one of these. `DenseClassifier` is
that of 2018: one graph for everything. `ShardedClassifier` keeps each part of the class vectors on
another device, and can sample classes. Both have the same checkpoints.
"""

from abc import ABC, abstractmethod

from src.common.mxnet_backend import Parameters, mx
from src.losses.base import ClassWeights, Loss

FLOAT = 4  # bytes


class Classifier(ABC):
    """The interface between a `Trainer` and a classifier.

    The methods with a body suit a classifier that is part of the module's graph. One whose class
    vectors are outside of it, such as `ShardedClassifier`, returns just the embedding from
    `trained_graph` and [] from `label_shapes`, and overrides all methods from `forward_backward`
    on. Its `forward_backward` passes the gradient of the embeddings to `module.backward`.

    Attributes
    ----------
    loss
    num_classes
        0 if the loss has no classes.
    seed
        Of the classifier's own random numbers; the run sets it before the parameters.
    gradient_scale
        Factor of the gradients in the module; a trainer sets it.
    gradient_square
        Sum of the squares of the gradients of own arrays in the last update.
    """

    loss: Loss
    num_classes: int
    seed: int = 0
    gradient_scale: float = 1.0
    gradient_square: float = 0.0

    def describe(self, embedding_size: int) -> list[str]:
        """Lines for the log before the first batch: what to expect of the loss."""
        return self.loss.describe(self.num_classes, embedding_size)

    @abstractmethod
    def saved_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """The graph of checkpoints, with the names of 2018; its first output is the embedding."""

    @abstractmethod
    def trained_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """The graph that the module binds; its first output is the embedding."""

    def metrics(self) -> list[mx.metric.EvalMetric]:
        """The metrics of a training log; one of them is called `lossvalue`."""
        return self.loss.metrics()

    def bytes_per_device(self, batch_size: int, has_momentum: bool) -> int:
        """Memory of a device with a batch of that size, for class vectors and logits."""
        return 0

    def label_shapes(self, batch_size: int) -> list[tuple[str, tuple[int, ...]]]:
        """Names and shapes of the trained graph's inputs in addition to `data`."""
        return [("softmax_label", (batch_size,))]

    def forward_backward(self, module: mx.mod.Module, batch: mx.io.DataBatch, step: int) -> None:
        """Computes all gradients of a batch; the first step is 1."""
        module.forward_backward(batch)

    def update(self, module: mx.mod.Module, optimizer: mx.optimizer.Optimizer, step: int) -> None:
        """Updates all parameters from their gradients.

        The learning rate of own arrays is `optimizer.lr_scheduler(step)`.
        """
        module.update()

    def outputs(self, module: mx.mod.Module) -> Parameters:
        """The outputs of the last batch, by name."""
        return dict(zip(module.output_names, module.get_outputs(), strict=True))

    def update_metric(
        self, module: mx.mod.Module, metric: mx.metric.EvalMetric, labels: list[mx.nd.NDArray]
    ) -> None:
        """Adds the last batch to a metric."""
        module.update_metric(metric, labels)

    def own_parameters(self) -> Parameters:
        """Parameters of the saved graph that are not in the module's graph."""
        return {}

    def set_own_parameters(
        self, arg_params: Parameters | None, initializer: mx.init.Initializer
    ) -> None:
        """Sets the parameters that are not in the module's graph.

        Parameters
        ----------
        arg_params
            Of a checkpoint; those that it does not contain are initialised.
        """

    def own_gradients(self) -> Parameters:
        """Gradients of `own_parameters` in the last batch."""
        return {}

    def own_momentum(self) -> Parameters:
        """Momentum of `own_parameters`, which is saved in the state of a run."""
        return {}

    def set_own_momentum(self, momentum: Parameters) -> None:
        """Restores the momentum; `momentum` contains that of the module's parameters too."""


class DenseClassifier(Classifier):
    """The classifier of 2018: every device has all class vectors, in one graph with the network.

    Parameters
    ----------
    loss
    weights
        Size and multipliers of the class vectors; a loss without classes ignores them.
    """

    def __init__(self, loss: Loss, weights: ClassWeights) -> None:
        self.loss = loss
        self.weights = weights
        self.num_classes = weights.num_classes

    def saved_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """The loss's graph, from operators that MXNet 1.3.1 has."""
        return self.loss.head(embedding, self.weights)

    def trained_graph(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        """The same function in the form that needs less memory."""
        return self.loss.head(embedding, self.weights, trained=True)

    def bytes_per_device(self, batch_size: int, has_momentum: bool) -> int:
        """Class vectors, gradient, momentum, normalised vectors with gradient; five of logits."""
        vectors = self.num_classes * self.weights.embedding_size
        return FLOAT * ((4 + has_momentum) * vectors + 5 * batch_size * self.num_classes)

    def label_shapes(self, batch_size: int) -> list[tuple[str, tuple[int, ...]]]:
        """The labels, and the step inputs of the loss."""
        return [
            *super().label_shapes(batch_size),
            *((name, (batch_size,)) for name in self.loss.step_inputs),
        ]

    def forward_backward(self, module: mx.mod.Module, batch: mx.io.DataBatch, step: int) -> None:
        """Computes all gradients of a batch.

        Step values are inputs, not parameters: they are divided among devices like the labels, have
        no gradient and no weight decay, and are not saved in checkpoints.
        """
        values = self.loss.step_values(step)
        rows = batch.label[0].shape[:1]
        labels = [*batch.label, *(mx.nd.full(rows, values[n]) for n in self.loss.step_inputs)]
        module.forward_backward(mx.io.DataBatch(batch.data, labels))
