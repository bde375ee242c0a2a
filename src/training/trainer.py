"""The network during training: binding, updates, checkpoints and momentum."""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from src.checkpoints.files import save_checkpoint
from src.checkpoints.parameters import (
    CLASSIFIER_PARAMETERS,
    compare,
    describe_embedding,
    describe_size,
)
from src.common.errors import InputError, listed
from src.common.mxnet_backend import Parameters, mx
from src.graphs.bound import BoundGraph
from src.graphs.shapes import infer_shapes
from src.training.classifiers import Classifier

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"


def wait_for_statistics() -> None:
    """Waits until the moving statistics of the last step are written.

    MXNet's batch normalisation writes them in the backward pass, and reading the array does not
    wait for that: it would return the statistics of some earlier step, a different one each time.
    """
    mx.nd.waitall()


class Trainer:
    """A backbone and a classifier on their devices.

    The bound graph is a rewritten one (see `BoundGraph` and the classifier's `trained_graph`). The
    symbol and the parameters that are returned and saved are those of the original graph.

    Parameters
    ----------
    backbone
        The embedding (N, D); its inputs are `data` and the parameters.
    classifier
    contexts
        The batch is divided evenly among them.

    Attributes
    ----------
    symbol
        The graph of checkpoints.
    backbone, on_cpu
        The network as given, and whether the devices are CPUs.
    module
        The bound module; its first output is the embedding.
    optimizer
        Set by `init_optimizer`.
    """

    def __init__(
        self, backbone: mx.sym.Symbol, classifier: Classifier, contexts: Sequence[mx.Context]
    ) -> None:
        self.classifier = classifier
        self.symbol = classifier.saved_graph(backbone)
        self.on_cpu = contexts[0].device_type == "cpu"
        self.backbone = backbone
        self._graph = BoundGraph(
            backbone, self.on_cpu, for_training=True, extend=classifier.trained_graph
        )
        self._label_names = [name for name, _ in classifier.label_shapes(len(contexts))]
        self.module = mx.mod.Module(
            self._graph.symbol, label_names=self._label_names, context=list(contexts)
        )
        self.optimizer: mx.optimizer.Optimizer | None = None

    def bind(
        self,
        batch_size: int,
        data_shape: Sequence[int],
        initializer: mx.init.Initializer,
        arg_params: Parameters | None = None,
        aux_params: Parameters | None = None,
    ) -> None:
        """Binds the module and sets all parameters; those that are not given are initialised.

        Raises
        ------
        InputError
            The given parameters do not fit the symbol.
        """
        shapes = [("data", (batch_size, *data_shape))]
        label_shapes = self.classifier.label_shapes(batch_size)
        if arg_params:
            inputs = {**dict(shapes), "softmax_label": (batch_size,)}
            self._check_given(inputs, arg_params, aux_params or {})
        self.module.bind(data_shapes=shapes, label_shapes=label_shapes or None, for_training=True)
        self.classifier.set_own_parameters(arg_params, initializer)
        if self._graph.parts:
            arg_params = self._initial_parts(initializer, dict(shapes), arg_params or {})
        self.module.init_params(
            initializer, arg_params=arg_params, aux_params=aux_params, allow_missing=True
        )

    def load(self, arg_params: Parameters, aux_params: Parameters) -> None:
        """Replaces all parameters, given those that `parameters` returned."""
        mx.nd.waitall()
        bound = self._graph.to_bound(arg_params, aux_params)
        self.module.set_params(*bound, allow_extra=True)
        self.classifier.set_own_parameters(arg_params, mx.init.Zero())

    def _check_given(
        self,
        input_shapes: dict[str, tuple[int, ...]],
        arg_params: Parameters,
        aux_params: Parameters,
    ) -> None:
        found = compare(self.symbol, arg_params, aux_params, input_shapes)
        if 2 * len(found.missing) > found.needed:
            raise InputError(
                f"{len(found.missing)} of the network's {found.needed} arrays are not in the "
                "checkpoint: use the --network and --version-* that it was trained with. "
                f"Missing: {listed(found.missing)}"
            )
        if found.wrong:
            raise InputError(
                f"the checkpoint does not fit --network, --emb-size and --version-*: "
                f"{listed(found.wrong)}"
                + describe_embedding(self.symbol, arg_params, input_shapes)
                + describe_size(self.symbol, arg_params, aux_params, input_shapes)
            )
        if found.missing:
            log.warning(
                "%d of the network's %d arrays are not in the checkpoint and are initialised: %s",
                len(found.missing),
                found.needed,
                listed(found.missing),
            )
        if found.surplus:
            expected = set(found.surplus) <= set(CLASSIFIER_PARAMETERS)
            log.log(
                logging.INFO if expected else logging.WARNING,
                "the network does not use these arrays of the checkpoint: %s",
                listed(found.surplus),
            )

    def _initial_parts(
        self,
        initializer: mx.init.Initializer,
        input_shapes: dict[str, tuple[int, ...]],
        given: Parameters,
    ) -> Parameters:
        """All parameters, given or initialised, of a bound graph that has merged parameters.

        Each part of a merged parameter is initialised under its own name, in the order of all
        names, so the random numbers are those of the original graph.
        """
        symbol, parts = self._graph.symbol, self._graph.parts
        shapes = infer_shapes(symbol, **input_shapes).arguments
        inputs = {"data", *self._label_names}
        arrays = {name: mx.nd.zeros(s) for name, s in shapes.items() if name not in inputs}
        attributes = symbol.attr_dict()

        def named_arrays() -> Iterator[tuple[str, str, mx.nd.NDArray]]:
            for name, array in arrays.items():
                originals = parts.get(name, [name])
                if name.endswith("_bias") and not any(part in given for part in originals):
                    originals = originals[:1]  # all start at the same value: one call is enough
                rows = array.shape[0] // len(originals)
                for place, original in enumerate(originals):
                    part = array[place * rows : (place + 1) * rows] if name in parts else array
                    yield original, name, part

        for original, name, array in sorted(named_arrays(), key=lambda entry: entry[0]):
            if original in given:
                array[:] = given[original]
            else:
                initializer(mx.init.InitDesc(original, attributes.get(name)), array)
        return arrays

    def init_optimizer(self, optimizer: mx.optimizer.Optimizer, kvstore: str = "device") -> None:
        """Makes the trainer ready for `step`."""
        self.optimizer = optimizer
        with warnings.catch_warnings():
            # The losses' gradients are already means over a device's batch, so rescale_grad is
            # 1/devices, not 1/images as MXNet expects.
            warnings.filterwarnings("ignore", "Optimizer created manually outside Module")
            self.module.init_optimizer(kvstore=kvstore, optimizer=optimizer, force_init=True)

    def step(self, batch: mx.io.DataBatch, number: int) -> None:
        """One update from one batch; `number` counts the batches of the run from 1."""
        self.classifier.forward_backward(self.module, batch, number)
        self.classifier.update(self.module, self.optimizer, number)

    def update_metric(self, metric: mx.metric.EvalMetric, labels: list[mx.nd.NDArray]) -> None:
        """Adds the last batch to a metric."""
        self.classifier.update_metric(self.module, metric, labels)

    def parameters(self) -> tuple[Parameters, Parameters]:
        """(arg_params, aux_params) of the saved graph, on the CPU; valid until the next step."""
        wait_for_statistics()
        arg_params, aux_params = self._graph.to_original(*self.module.get_params())
        return {**arg_params, **self.classifier.own_parameters()}, aux_params

    def average_statistics(self) -> None:
        """Gives all devices the mean of their moving statistics, which is what `parameters` has.

        A run that is resumed from these parameters is then bit-equal to one that goes on.
        """
        if len(self.module._context) > 1:
            wait_for_statistics()
            self.module._exec_group.set_params({}, self.module.get_params()[1])

    def gradient_norm(self) -> float:
        """Length of the gradient of all parameters in the last batch, the mean over the devices."""
        lists = [
            arrays
            for arrays in self.module._exec_group.grad_arrays
            if arrays and arrays[0] is not None
        ]
        square = sum(_squared_mean(arrays) for arrays in lists)
        return math.sqrt(square + self.classifier.gradient_square)

    def save(self, prefix: str, number: int) -> str:
        """Writes a checkpoint, complete or not at all; returns the path of its params."""
        path = save_checkpoint(prefix, number, self.symbol, *self.parameters())
        log.info('Saved checkpoint to "%s"', path)
        return path

    def gradients(self) -> Parameters:
        """Gradients of the last batch by name, the mean over the devices, on the CPU.

        Not available with a distributed key-value store, which overwrites them.
        """
        names = self.module._exec_group.param_names
        by_device = self.module._exec_group.grad_arrays
        gradients = {
            name: sum(array.as_in_context(mx.cpu()) for array in arrays) / len(arrays)
            for name, arrays in zip(names, by_device, strict=True)
            if arrays and arrays[0] is not None
        }
        return {**self._graph.split(gradients), **self.classifier.own_gradients()}

    def non_finite(self) -> list[str]:
        """Names of the parameters that contain NaN or infinity."""
        wait_for_statistics()
        arg_params, aux_params = self.module.get_params()
        every = {**arg_params, **aux_params, **self.classifier.own_parameters()}
        return _non_finite(self._graph.split({name: every[name] for name in _non_finite(every)}))

    def non_finite_outputs(self) -> list[str]:
        """Names of the outputs of the last batch that contain NaN or infinity."""
        return _non_finite(self.classifier.outputs(self.module))

    def momentum(self) -> Parameters:
        """Momentum by parameter name; valid until the next step.

        Empty before the first step, and without momentum.
        """
        assert self.optimizer is not None  # `init_optimizer` comes first
        names = self.optimizer.idx2name
        by_name = {
            names.get(index, index): state
            for index, state in self._updater().states.items()
            if state is not None
        }
        return {**self._graph.split(by_name), **self.classifier.own_momentum()}

    def set_momentum(self, momentum: Parameters) -> None:
        """Restores what `momentum` returned, on the same number of devices."""
        assert self.optimizer is not None  # `init_optimizer` comes first
        self.classifier.set_own_momentum(momentum)
        momentum = self._graph.merge(momentum)
        updater = self._updater()
        by_index = self.module._kvstore is None or not self.module._update_on_kvstore
        keys = self.optimizer.idx2name.items() if by_index else ((n, n) for n in momentum)
        for key, name in keys:
            if name in momentum:
                updater.states[key] = momentum[name].copy()
                updater.states_synced[key] = False

    def _updater(self) -> Any:
        # There is no public API for optimizer state other than a pickle.
        module = self.module
        return module._kvstore._updater if module._update_on_kvstore else module._updater


def _squared_mean(arrays: list[mx.nd.NDArray]) -> float:
    """Square of the length of the mean of the devices' arrays."""
    total = arrays[0].reshape((-1,))
    for array in arrays[1:]:
        total = total + array.as_in_context(total.context).reshape((-1,))
    return float(mx.nd.dot(total, total).asscalar()) / len(arrays) ** 2


def _non_finite(arrays: Parameters) -> list[str]:
    return [name for name, array in arrays.items() if not np.isfinite(array.asnumpy()).all()]
