"""Stochastic gradient descent with Gaussian noise on the gradients."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx


class NoiseSGD(mx.optimizer.SGD):
    """SGD that adds noise to every gradient (Neelakantan et al. 2015, arXiv:1511.06807).

    Parameters
    ----------
    scale
        Standard deviation of the noise, in units of the rescaled gradient.
    **sgd
        As for `mx.optimizer.SGD`: learning_rate, momentum, wd, rescale_grad, …
    """

    def __init__(self, scale: float, **sgd: Any) -> None:
        super().__init__(**sgd)
        self.scale = scale

    def update(self, index: Any, weight: Any, grad: Any, state: Any) -> None:
        """One step of an array, or of several in lists of equal length."""
        super().update(index, weight, self._with_noise(grad), state)

    def update_multi_precision(self, index: Any, weight: Any, grad: Any, state: Any) -> None:
        """The same for float16 weights with a float32 copy in `state`."""
        super().update_multi_precision(index, weight, self._with_noise(grad), state)

    def _with_noise(self, grad: Any) -> Any:
        if isinstance(grad, list | tuple):
            return [self._with_noise(array) for array in grad]
        if not self.scale:  # MXNet rejects a standard deviation of 0
            return grad
        deviation = self.scale / self.rescale_grad  # SGD multiplies by rescale_grad afterwards
        noise = mx.nd.random.normal(
            0, deviation, shape=grad.shape, dtype=grad.dtype, ctx=grad.context
        )
        return grad + noise
