"""2018's building blocks of networks under their names there, for third-party networks.

They are found where they were: `fresnet.residual_unit_v3`, `symbol_utils.Conv`, …
"""

from collections.abc import Callable
from typing import Any

from src.common.mxnet_backend import mx
from src.symbols import fresnet
from src.symbols.symbol_utils import activation, linear_convolution

Size = int | tuple[int, int]


def Conv(**settings: Any) -> mx.sym.Symbol:
    """`mx.sym.Convolution`."""
    return mx.sym.Convolution(**settings)


def Act(data: mx.sym.Symbol, act_type: str, name: str) -> mx.sym.Symbol:
    """See `symbol_utils.activation`."""
    return activation(data, name, act_type)


def Linear(
    data: mx.sym.Symbol,
    num_filter: int = 1,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
    num_group: int = 1,
    name: str | None = None,
    suffix: str = "",
) -> mx.sym.Symbol:
    """See `symbol_utils.linear_convolution`; sizes are (height, width)."""
    return linear_convolution(data, num_filter, f"{name}{suffix}", kernel, stride, pad, num_group)


def _unit(unit: Callable[..., mx.sym.Symbol], version_input: int) -> Callable[..., mx.sym.Symbol]:
    """A unit of `fresnet` with 2018's arguments."""

    def build(
        data: mx.sym.Symbol,
        num_filter: int,
        stride: Size,
        dim_match: bool,
        name: str,
        bottle_neck: bool,
        **settings: Any,
    ) -> mx.sym.Symbol:
        """A residual unit.

        Parameters
        ----------
        data
            (N, C, H, W)
        num_filter
            Channels of the result.
        dim_match
            Whether the shortcut is the input itself.
        settings
            version_se (1), version_act ('prelu') and bn_mom (0.9); others have no effect.
        """
        versions = fresnet.Versions(
            se=settings.get("version_se", 1),
            input=version_input,
            act=settings.get("version_act", "prelu"),
            bn_mom=settings.get("bn_mom", 0.9),
        )
        first = stride[0] if isinstance(stride, tuple) else stride
        return unit(data, (num_filter, first, bottle_neck), not dim_match, name, versions)

    return build


residual_unit_v1 = _unit(fresnet.unit_1, 0)  # the first convolution has the stride
residual_unit_v1_L = _unit(fresnet.unit_1, 1)  # the last one has it
residual_unit_v2 = _unit(fresnet.unit_2, 1)
residual_unit_v3 = _unit(fresnet.unit_3, 1)


def residual_unit(*args: Any, **settings: Any) -> mx.sym.Symbol:
    """The unit of `version_unit` (3) and `version_input` (1); other arguments as for each unit."""
    version = settings.get("version_unit", 3)
    if version == 1:
        first = settings.get("version_input", 1) == 0
        return (residual_unit_v1 if first else residual_unit_v1_L)(*args, **settings)
    return (residual_unit_v2 if version == 2 else residual_unit_v3)(*args, **settings)
