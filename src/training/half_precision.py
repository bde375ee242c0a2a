"""Training a float16 network: loss scaling, gradients that overflow, and float32 weights.

The method is that of Micikevicius et al. 2018, arXiv:1710.03740.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from src.common.mxnet_backend import Parameters, mx
from src.training.stopping import Diverged

log = logging.getLogger(__name__)

MOST_OVERFLOWS = 20  # in a row


class HalfPrecision:
    """What a `Trainer` needs in addition for a float16 network.

    The optimizer has a float32 copy of each float16 weight, as part of its state; those are what
    checkpoints contain.

    Parameters
    ----------
    scale
        Factor of the loss, and so of all gradients until the optimizer divides by it.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._overflows = 0
        self._full: Parameters = {}

    def remember(self, bound: Parameters, given: Parameters) -> None:
        """Keeps the float32 weights of a run's start, for `state`.

        Parameters
        ----------
        bound
            All parameters as the module has them.
        given
            Those that were given, float32.
        """
        self._full = {
            name: given.get(name, array).astype(np.float32)
            for name, array in bound.items()
            if array.dtype == np.float16
        }

    def names(self) -> list[str]:
        """The float16 parameters."""
        return list(self._full)

    def state(self, name: str, momentum: mx.nd.NDArray | None) -> Any:
        """An optimizer's state of a parameter: with a float32 weight if it is a float16 one."""
        return (momentum, self._full[name].copy()) if name in self._full else momentum

    def drop_overflow(self, named: Mapping[str, Sequence[mx.nd.NDArray]], step: int) -> None:
        """Sets all gradients to 0 if one is not finite, so that the batch is left out.

        Raises
        ------
        Diverged
            Too often in a row.
        """
        arrays = [array for arrays in named.values() for array in arrays]
        if _all_finite(arrays):
            self._overflows = 0
            return
        self._overflows += 1
        if self._overflows == MOST_OVERFLOWS:
            raise Diverged(
                f"batch {step}: the gradients of {MOST_OVERFLOWS} batches in a row exceed float16; "
                f"use a --loss-scale below {self.scale:g}, or --dtype float32"
            )
        log.warning("batch %d: gradients exceed float16, the batch is left out", step)
        for array in arrays:
            array[:] = 0


def full_weights(states: Iterable[tuple[str, Any]]) -> Parameters:
    """The float32 weights in an optimizer's states, which are given with parameter names."""
    return {name: state[1] for name, state in states if isinstance(state, tuple)}


def momentum_of(state: Any) -> mx.nd.NDArray | None:
    """The momentum in an optimizer's state of a parameter."""
    return state[0] if isinstance(state, tuple) else state


def _all_finite(arrays: Sequence[mx.nd.NDArray]) -> bool:
    groups: dict[tuple[str, Any], list[mx.nd.NDArray]] = {}
    for array in arrays:
        groups.setdefault((str(array.context), array.dtype), []).append(array)
    found = [mx.nd.multi_all_finite(*group, num_arrays=len(group)) for group in groups.values()]
    return all(flag.asscalar() for flag in found)
