"""The network during training: binding, updates, checkpoints and momentum."""

import itertools
import logging
import math
import warnings
from collections.abc import Sequence

import numpy as np

from src.checkpoints.files import save_checkpoint
from src.checkpoints.names import params_path
from src.common.mxnet_backend import Parameters, mx
from src.common.workers import Workers
from src.graphs.bound import BoundGraph
from src.graphs.half import in_half, scale_loss
from src.losses.metrics import added_by_all
from src.training.classifiers import Classifier
from src.training.given_parameters import check_given, initial_parts
from src.training.half_precision import HalfPrecision
from src.training.optimizer_state import OptimizerState

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
        The batch of this worker is divided evenly among them.
    workers
        Each has its own part of the batch; all keep the same parameters.
    loss_scale
        Computes the network in float16, with the loss multiplied by this number; for GPUs and one
        worker. None: in float32.

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
        self,
        backbone: mx.sym.Symbol,
        classifier: Classifier,
        contexts: Sequence[mx.Context],
        workers: Workers | None = None,
        loss_scale: float | None = None,
    ) -> None:
        self.classifier = classifier
        self.half = None if loss_scale is None else HalfPrecision(loss_scale)
        classifier.gradient_scale = loss_scale or 1.0
        self.workers = workers or Workers()
        self.devices = len(contexts) * self.workers.count
        self.symbol = classifier.saved_graph(backbone)
        self.on_cpu = contexts[0].device_type == "cpu"
        self.backbone = backbone
        self._graph = BoundGraph(backbone, self.on_cpu, for_training=True, extend=self._extended)
        self._label_names = [name for name, _ in classifier.label_shapes(len(contexts))]
        self.module = mx.mod.Module(
            self._graph.symbol, label_names=self._label_names, context=list(contexts)
        )
        self.optimizer: mx.optimizer.Optimizer | None = None
        self._state: OptimizerState | None = None

    def _extended(self, network: mx.sym.Symbol) -> mx.sym.Symbol:
        """What is trained, given the network."""
        if self.half is None:
            return self.classifier.trained_graph(network)
        return scale_loss(self.classifier.trained_graph(in_half(network)), self.half.scale)

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
            check_given(self.symbol, inputs, arg_params, aux_params or {})
        self.module.bind(data_shapes=shapes, label_shapes=label_shapes or None, for_training=True)
        self.classifier.set_own_parameters(arg_params, initializer)
        if self._graph.parts:
            fed = {"data", *self._label_names}
            given = arg_params or {}
            arg_params = initial_parts(self._graph, fed, dict(shapes), initializer, given)
        self.module.init_params(
            initializer, arg_params=arg_params, aux_params=aux_params, allow_missing=True
        )
        self._copy_first()
        self._remember(arg_params or {})

    def _remember(self, given: Parameters) -> None:
        if self.half:
            self.half.remember(self.module.get_params()[0], self._graph.merge(given))

    def _copy_first(self) -> None:
        """Gives the first worker's parameters to all."""
        if self.workers.is_distributed:
            parameters = self.module.get_params()
            for name, array in itertools.chain(*(arrays.items() for arrays in parameters)):
                self.workers.copy_first(name, array)
            self.module._exec_group.set_params(*parameters)

    def load(self, arg_params: Parameters, aux_params: Parameters) -> None:
        """Replaces all parameters, given those that `parameters` returned on the first worker."""
        mx.nd.waitall()
        if self.workers.is_first:
            bound = self._graph.to_bound(arg_params, aux_params)
            self.module.set_params(*bound, allow_extra=True)
        self._copy_first()
        self._remember(arg_params)
        self.classifier.set_own_parameters(arg_params, mx.init.Zero())

    def init_optimizer(self, optimizer: mx.optimizer.Optimizer, kvstore: str = "device") -> None:
        """Makes the trainer ready for `step`."""
        self.optimizer = optimizer
        store = None if self.workers.is_distributed else kvstore  # each updates its own copy
        with warnings.catch_warnings():
            # The losses' gradients are already means over a device's batch, so rescale_grad is
            # 1/devices, not 1/images as MXNet expects.
            warnings.filterwarnings("ignore", "Optimizer created manually outside Module")
            self.module.init_optimizer(kvstore=store, optimizer=optimizer, force_init=True)
        self._state = OptimizerState(self.module, optimizer, self.workers, self.half)

    def step(self, batch: mx.io.DataBatch, number: int) -> None:
        """One update from one batch; `number` counts the batches of the run from 1."""
        self.classifier.forward_backward(self.module, batch, number)
        if self.workers.is_distributed:
            self.workers.add_up_ahead(self._gradient_arrays())
        if self.half:
            self.half.drop_overflow(self._gradient_arrays(), number)
        self.classifier.update(self.module, self.optimizer, number)

    def _gradient_arrays(self) -> dict[str, list[mx.nd.NDArray]]:
        """Each gradient of the module's graph, on all devices of this worker.

        With several workers these are their sum after `step`, else those of each device.
        """
        group = self.module._exec_group
        named = zip(group.param_names, group.grad_arrays, strict=True)
        return {name: list(arrays) for name, arrays in named if arrays and arrays[0] is not None}

    def update_metric(self, metric: mx.metric.EvalMetric, labels: list[mx.nd.NDArray]) -> None:
        """Adds the last batch, of all workers, to a metric."""
        with added_by_all(self.workers, metric):
            self.classifier.update_metric(self.module, metric, labels)

    def parameters(self) -> tuple[Parameters, Parameters]:
        """(arg_params, aux_params) of the saved graph, on the CPU; valid until the next step."""
        wait_for_statistics()
        arg_params, aux_params = self.module.get_params()
        if self.half and self._state:
            full = self._state.full_weights()
            arg_params = {n: full.get(n, a).astype(np.float32) for n, a in arg_params.items()}
        arg_params, aux_params = self._graph.to_original(arg_params, aux_params)
        return {**arg_params, **self.classifier.own_parameters()}, aux_params

    def average_statistics(self) -> None:
        """Gives all devices the mean of their moving statistics, which is what `parameters` has.

        A run that is resumed from these parameters is then bit-equal to one that goes on.
        """
        if self.devices == 1:
            return
        wait_for_statistics()
        statistics = self.module.get_params()[1]
        if self.workers.is_distributed:
            for name, array in statistics.items():
                self.workers.add_up(name, array)
                array /= self.workers.count
        self.module._exec_group.set_params({}, statistics)

    def gradient_norm(self) -> float:
        """Length of the gradient of all parameters in the last batch, the mean over the devices."""
        square = sum(self._squared_mean(arrays) for arrays in self._gradient_arrays().values())
        own = float(self.workers.total([self.classifier.gradient_square])[0])
        return math.sqrt(square + own)

    def _squared_mean(self, arrays: list[mx.nd.NDArray]) -> float:
        """Square of the length of the mean of all devices' arrays."""
        total = arrays[0].reshape((-1,)).astype(np.float32, copy=False)
        for array in arrays[1:] if not self.workers.is_distributed else []:
            total = total + array.as_in_context(total.context).reshape((-1,)).astype(np.float32)
        scale = self.devices * self.classifier.gradient_scale
        return float(mx.nd.dot(total, total).asscalar()) / scale**2

    def save(self, prefix: str, number: int) -> str:
        """Writes a checkpoint, complete or not at all; returns the path of its params.

        All workers take part, the first one writes.
        """
        parameters = self.parameters()
        if not self.workers.is_first:
            return params_path(prefix, number)
        path = save_checkpoint(prefix, number, self.symbol, *parameters)
        log.info('Saved checkpoint to "%s"', path)
        return path

    def gradients(self) -> Parameters:
        """Gradients of the last batch by name, the mean over the devices, on the CPU."""
        own = slice(1) if self.workers.is_distributed else slice(None)
        scale = self.devices * self.classifier.gradient_scale
        gradients = {
            name: sum(array.as_in_context(mx.cpu()) for array in arrays[own]) / scale
            for name, arrays in self._gradient_arrays().items()
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
        assert self._state is not None  # `init_optimizer` comes first
        return {**self._graph.split(self._state.momentum()), **self.classifier.own_momentum()}

    def set_momentum(self, momentum: Parameters) -> None:
        """Restores what `momentum` returned on the first worker."""
        assert self._state is not None  # `init_optimizer` comes first
        self.classifier.set_own_momentum(momentum)
        self._state.restore(self._graph.merge(momentum))


def _non_finite(arrays: Parameters) -> list[str]:
    return [name for name, array in arrays.items() if not np.isfinite(array.asnumpy()).all()]
