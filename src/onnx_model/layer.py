"""One layer of an MXNet graph as its converter reads it: inputs, shapes and attributes."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from src.common.errors import InputError

# Attributes that only affect training or speed, or that a parameter's shape already gives.
WITHOUT_EFFECT = {
    *("workspace", "cudnn_off", "cudnn_tune", "momentum", "use_global_stats"),
    *("num_filter", "num_hidden", "num_args", "is_int"),
    *("ctx_group", "force_mirroring", "mirror_stage", "lr_mult", "wd_mult"),
}


@dataclass
class Layer:
    """A node of the symbol, with MXNet's operator and name.

    Attributes
    ----------
    inputs
        Names of the tensors in the ONNX graph that the layer takes.
    shapes
        Of the inputs, for the batch size of the conversion.
    outputs
        Names for the layer's results.
    attributes
        As MXNet writes them. Reading one removes it, so that `reject_unread` finds the attributes
        that no converter handles.
    """

    operator: str
    name: str
    inputs: list[str]
    shapes: list[tuple[int, ...]]
    outputs: list[str]
    attributes: dict[str, str]

    def __post_init__(self) -> None:
        self.attributes = {
            key: value
            for key, value in self.attributes.items()
            if key not in WITHOUT_EFFECT and not key.startswith("__")
        }

    def reject(self, reason: str) -> NoReturn:
        """Raises an InputError that names the layer."""
        raise InputError(f"layer {self.name} ({self.operator}) cannot be exported: {reason}")

    def text(self, key: str, default: str = "") -> str:
        """An attribute as text."""
        return self.attributes.pop(key, default)

    def value(self, key: str, default: Any = None) -> Any:
        """An attribute as a number, bool, tuple or None; the default if it is not given."""
        text = self.attributes.pop(key, None)
        if text is None:
            return default
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            self.reject(f"cannot read its attribute {key}={text!r}")

    def sizes(self, key: str, default: Sequence[int]) -> list[int]:
        """An attribute with one number per dimension, as in (3, 3); () means the default."""
        value = self.value(key) or default
        return [value] if isinstance(value, int) else list(value)

    def expect(self, key: str, *allowed: str) -> None:
        """Rejects the layer unless an attribute is one of these texts; the first is the default.

        For attributes that ONNX cannot express and that 2018's networks never set.
        """
        text = self.text(key, allowed[0])
        if text not in allowed:
            self.reject(f"{key}={text} is not supported, only {' or '.join(allowed)}")

    def reject_unread(self) -> None:
        """Rejects the layer if it has attributes that no converter has read."""
        if self.attributes:
            unread = ", ".join(f"{key}={value}" for key, value in self.attributes.items())
            self.reject(f"these attributes are not supported: {unread}")
