"""Silent shape inference, with a one-line error if a shape does not fit."""

import contextlib
import io
import re
from typing import NamedTuple

from src.common.errors import InputError
from src.common.mxnet_backend import mx

INPUT_SHAPE = (1, 3, 112, 112)  # one photo; for layers that depend on their input's channels


class ShapeError(InputError):
    """Inputs of these shapes do not fit the graph; the message is MXNet's reason."""


class Shapes(NamedTuple):
    """Shapes in a graph: of arguments and auxiliary states by name, and of the outputs in order."""

    arguments: dict[str, tuple[int, ...]]
    outputs: list[tuple[int, ...]]
    auxiliary: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Arguments (inputs included) and auxiliary states together."""
        return {**self.arguments, **self.auxiliary}


def infer_shapes(symbol: mx.sym.Symbol, **inputs: tuple[int, ...]) -> Shapes:
    """The shapes in a graph whose inputs have the given shapes; `data` is (N, 3, H, W).

    Raises
    ------
    ShapeError
        They do not fit the graph.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # on an error MXNet prints all shapes
            arguments, outputs, auxiliary = symbol.infer_shape(**inputs)
    except mx.MXNetError as error:
        raise ShapeError(explain(error)) from None
    return Shapes(
        dict(zip(symbol.list_arguments(), arguments, strict=True)),
        outputs,
        dict(zip(symbol.list_auxiliary_states(), auxiliary, strict=True)),
    )


def explain(error: Exception) -> str:
    """The line of an MXNetError that contains the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        found = re.search(r"(Cannot find argument '\w+')", line)
        if found:
            operator = re.search(r"in operator (\w+\(name=\"[^\"]*\")", lines[-1])
            return f"{found[1]}{f' in operator {operator[1]})' if operator else ''}"
    return lines[-1] if lines else type(error).__name__
