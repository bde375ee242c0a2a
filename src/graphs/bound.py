"""The graph that is bound instead of a symbol: the same function, faster.

It also avoids bugs of MXNet that `plain_concat` and `prelu` describe.

Its parameters differ from the symbol's: some are merged, some are added. `BoundGraph` converts
between the two, so the rest of the code only sees the symbol and its parameters.
"""

from collections.abc import Callable

from src.common.mxnet_backend import Parameters, mx
from src.graphs.channel_groups import merge_channels
from src.graphs.plain_concat import plain_concatenations
from src.graphs.prelu import (
    correct_slope_gradients,
    extra_auxiliary,
    original_parameters,
    rewrite_prelu,
)

Rewrite = Callable[[mx.sym.Symbol], mx.sym.Symbol]


class BoundGraph:
    """A symbol rewritten for binding.

    Parameters
    ----------
    symbol
        With the input `data`, (N, 3, H, W).
    on_cpu
        Whether it will be bound on CPUs. A GPU gets the stock concatenations, and a PReLU of
        elementwise operators for training.
    for_training
        Whether it needs gradients.
    extend
        Builds what is trained on top of the rewritten symbol, such as a loss.

    Attributes
    ----------
    symbol
        The symbol to bind.
    parts
        Merged parameters: name → names of the original parameters that it concatenates.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        on_cpu: bool,
        for_training: bool,
        extend: Rewrite = lambda symbol: symbol,
    ) -> None:
        merged, self.parts = merge_channels(symbol)
        bound = extend(merged)
        if on_cpu:
            if for_training:
                bound = plain_concatenations(bound)
            bound = rewrite_prelu(bound, for_training)
        elif for_training:
            bound = correct_slope_gradients(bound)
        self.symbol = bound

    def to_bound(
        self, arg_params: Parameters, aux_params: Parameters
    ) -> tuple[Parameters, Parameters]:
        """The bound graph's (arg_params, aux_params), given the original's."""
        arg_params = self.merge(arg_params)
        return arg_params, {**aux_params, **extra_auxiliary(self.symbol, arg_params)}

    def to_original(
        self, arg_params: Parameters, aux_params: Parameters
    ) -> tuple[Parameters, Parameters]:
        """The original's (arg_params, aux_params), given the bound graph's."""
        arg_params, aux_params = original_parameters(arg_params, aux_params)
        return self.split(arg_params), aux_params

    def merge(self, arrays: Parameters) -> Parameters:
        """Arrays under the bound graph's names, given arrays under the original's.

        Parts of a parameter of which others are missing keep their names.
        """
        if not self.parts:
            return arrays
        arrays = dict(arrays)
        for name, originals in self.parts.items():
            if all(original in arrays for original in originals):
                parts = [arrays.pop(original) for original in originals]
                arrays[name] = mx.nd.concat(*parts, dim=0)
        return arrays

    def split(self, arrays: Parameters) -> Parameters:
        """Arrays under the original's names, given arrays under the bound graph's, as views."""
        if not self.parts:
            return arrays
        result: Parameters = {}
        for name, array in arrays.items():
            originals = self.parts.get(name)
            if originals is None:
                result[name] = array
                continue
            rows = array.shape[0] // len(originals)
            for place, original in enumerate(originals):
                result[original] = array[place * rows : (place + 1) * rows]
        return result
