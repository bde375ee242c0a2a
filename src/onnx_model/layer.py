"""One layer of an MXNet graph as its converter reads it: inputs, shapes and attributes."""

import ast
from dataclasses import dataclass

from src.common.errors import InputError

# What says how to train or how to compute, not what; or what a parameter's shape says as well.
WITHOUT_EFFECT = {
    *("workspace", "cudnn_off", "cudnn_tune", "momentum", "use_global_stats"),
    *("num_filter", "num_hidden", "num_args", "is_int"),
    *("ctx_group", "force_mirroring", "mirror_stage", "lr_mult", "wd_mult"),
}


@dataclass
class Layer:
    """A node of the symbol.

    Attributes
    ----------
    operator, name : str
        As MXNet has them.
    inputs : list of str
        The tensors of the ONNX graph that it takes.
    shapes : list of tuple
        Of the inputs, for the batch size that the graph is converted at.
    outputs : list of str
        The names that its results shall have.
    attributes : dict of str to str
        Each is taken out when it is read, so that `finish` finds what nobody knows.
    """

    operator: str
    name: str
    inputs: list
    shapes: list
    outputs: list
    attributes: dict

    def __post_init__(self):
        self.attributes = {
            key: value
            for key, value in self.attributes.items()
            if key not in WITHOUT_EFFECT and not key.startswith("__")
        }

    def refuse(self, reason):
        """Raises InputError that names the layer."""
        raise InputError(f"layer {self.name} ({self.operator}) cannot be exported: {reason}")

    def text(self, key, default=""):
        """An attribute as it is written."""
        return self.attributes.pop(key, default)

    def value(self, key, default=None):
        """A number, a truth value, a tuple or None; the default where it is not given."""
        written = self.attributes.pop(key, None)
        if written is None:
            return default
        try:
            return ast.literal_eval(written)
        except (ValueError, SyntaxError):
            self.refuse(f"its attribute {key} is {written!r}")

    def sizes(self, key, default):
        """A number a dimension, as in (3, 3); MXNet writes () for the default."""
        return list(self.value(key) or default)

    def expect(self, key, *allowed):
        """Refuses an attribute that is not given as one of these texts; the first is the default.

        For what ONNX has no word for, and 2018's networks never set.
        """
        written = self.text(key, allowed[0])
        if written not in allowed:
            self.refuse(f"it has {key}={written}, known is {' or '.join(allowed)}")

    def finish(self):
        """Refuses attributes that no converter has read."""
        if self.attributes:
            given = ", ".join(f"{key}={value}" for key, value in self.attributes.items())
            self.refuse(f"its attributes {given} are not known")
