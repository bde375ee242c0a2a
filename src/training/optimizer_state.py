"""What an optimizer keeps of each parameter of a module: momentum, and float32 weights."""

from typing import Any

from src.common.mxnet_backend import Parameters, mx
from src.common.workers import Workers
from src.training.half_precision import HalfPrecision, full_weights, momentum_of


class OptimizerState:
    """The state of a module's optimizer, by the names of the module's parameters.

    Parameters
    ----------
    module
        With its optimizer.
    optimizer
    workers
    half
        Of a float16 network.
    """

    def __init__(
        self,
        module: mx.mod.Module,
        optimizer: mx.optimizer.Optimizer,
        workers: Workers,
        half: HalfPrecision | None,
    ) -> None:
        self._module, self._optimizer = module, optimizer
        self._workers, self._half = workers, half

    def _updater(self) -> Any:
        # There is no public API for optimizer state other than a pickle.
        module = self._module
        return module._kvstore._updater if module._update_on_kvstore else module._updater

    def _states(self) -> list[tuple[str, Any]]:
        names = self._optimizer.idx2name
        return [(names.get(index, index), each) for index, each in self._updater().states.items()]

    def momentum(self) -> Parameters:
        """Momentum; empty before the first step, and without momentum."""
        found = {name: momentum_of(state) for name, state in self._states()}
        return {name: array for name, array in found.items() if array is not None}

    def full_weights(self) -> Parameters:
        """The float32 weights of a float16 network."""
        return full_weights(self._states())

    def restore(self, momentum: Parameters) -> None:
        """Restores what `momentum` returned on the first worker."""
        momentum = self._of_first(momentum)
        stored = {*momentum, *(self._half.names() if self._half else ())}
        updater = self._updater()
        by_index = self._module._kvstore is None or not self._module._update_on_kvstore
        keys = self._optimizer.idx2name.items() if by_index else ((name, name) for name in stored)
        for key, name in keys:
            if name in stored:
                updater.states[key] = self._state(name, momentum.get(name))
                updater.states_synced[key] = False

    def _state(self, name: str, momentum: mx.nd.NDArray | None) -> Any:
        """A parameter's state, with a copy of the given momentum."""
        if momentum is None and self._optimizer.momentum:
            momentum = mx.nd.zeros(self._module.get_params()[0][name].shape)
        copy = None if momentum is None else momentum.copy()
        return copy if self._half is None else self._half.state(name, copy)

    def _of_first(self, momentum: Parameters) -> Parameters:
        if not self._workers.is_distributed:
            return momentum
        parameters = self._module.get_params()[0]
        names = self._workers.from_first(lambda: [name for name in parameters if name in momentum])
        copies = {name: momentum.get(name, mx.nd.zeros(parameters[name].shape)) for name in names}
        for name, array in copies.items():
            self._workers.copy_first(name, array)
        return copies
