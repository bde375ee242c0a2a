"""Stochastic gradient descent whose gradients carry Gaussian noise."""

from src.common.mxnet_backend import mx


class NoiseSGD(mx.optimizer.SGD):
    """SGD after adding noise to every gradient (Neelakantan et al. 2015, arXiv:1511.06807).

    Parameters
    ----------
    scale : float
        Standard deviation of the noise, in units of the rescaled gradient.
    **sgd
        As for `mx.optimizer.SGD`: learning_rate, momentum, wd, rescale_grad, …
    """

    def __init__(self, scale, **sgd):
        super().__init__(**sgd)
        self.scale = scale

    def update(self, index, weight, grad, state):
        """One step of one array, or of several in equal lists."""
        super().update(index, weight, self._with_noise(grad), state)

    def update_multi_precision(self, index, weight, grad, state):
        """As `update`, for float16 weights with a float32 copy in `state`."""
        super().update_multi_precision(index, weight, self._with_noise(grad), state)

    def _with_noise(self, grad):
        if isinstance(grad, list | tuple):
            return [self._with_noise(array) for array in grad]
        if not self.scale:  # MXNet draws no normal numbers of deviation 0
            return grad
        deviation = self.scale / self.rescale_grad  # SGD multiplies by rescale_grad afterwards
        noise = mx.nd.random.normal(
            0, deviation, shape=grad.shape, dtype=grad.dtype, ctx=grad.context
        )
        return grad + noise
