"""The ONNX graph under construction, to which converters add nodes and constants."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from src.onnx_model.layer import Layer
from src.onnx_model.libraries import onnx

INPUT_NAME, OUTPUT_NAME = "data", "fc1"


class OnnxWriter:
    """Nodes and constants of an ONNX graph; all names in it are unique.

    Parameters
    ----------
    parameters
        Name → float32 array; only those that a node uses are written.

    Attributes
    ----------
    batch_wide
        Names of the layers that compute one value over the complete batch.
    """

    def __init__(self, parameters: dict[str, np.ndarray]) -> None:
        self._parameters = parameters
        self._constants: dict[str, np.ndarray] = {}
        self._aliases: dict[str, str] = {}
        self._names = {INPUT_NAME, OUTPUT_NAME, *parameters}
        self._nodes: list[onnx.NodeProto] = []
        self.batch_wide: list[str] = []

    def new_name(self, name: str) -> str:
        """`name` itself, or with a number appended if it is taken."""
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique

    def parameter(self, layer: Layer, name: str) -> np.ndarray:
        """The float32 array of one of the layer's parameters."""
        if name not in self._parameters:
            layer.reject(f"the checkpoint has no array {name}")
        return self._parameters[name]

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        """Adds an array to the graph; returns its name there.

        That is `name`, unless another array already has it.
        """
        array = np.asarray(array)
        known = self._constants.get(name)
        if known is not None and (known.shape != array.shape or not np.array_equal(known, array)):
            name = self.new_name(name)
        self._names.add(name)
        self._constants[name] = array
        return name

    def alias(self, name: str, source: str) -> None:
        """From now on, the tensor `name` is the same as `source`."""
        self._aliases[name] = self._aliases.get(source, source)

    def resolve(self, name: str) -> str:
        """The name of a tensor after aliases; a parameter is added to the graph."""
        name = self._aliases.get(name, name)
        if name in self._parameters and name not in self._constants:
            self.constant(name, self._parameters[name])
        return name

    def add(
        self,
        layer: Layer,
        operator: str,
        inputs: Sequence[str] | None = None,
        into: str | None = None,
        **attributes: Any,
    ) -> str:
        """Adds a node; returns the name of its first output.

        Parameters
        ----------
        layer
            The layer that the node belongs to.
        operator
            The ONNX operator.
        inputs
            By default, those of the layer.
        into
            Name for an intermediate result; by default the node writes the layer's outputs.
        **attributes
            Of the ONNX operator.
        """
        outputs = [self.new_name(into)] if into else layer.outputs
        resolved = [self.resolve(name) for name in (layer.inputs if inputs is None else inputs)]
        self._nodes.append(
            onnx.helper.make_node(
                operator, resolved, outputs, name=outputs[0] if into else layer.name, **attributes
            )
        )
        return outputs[0]

    def to_graph(
        self,
        name: str,
        output_shape: tuple[int, ...],
        image_size: tuple[int, int],
        batch: int | str,
    ) -> onnx.GraphProto:
        """The graph from images (N, 3, H, W) to embeddings (N, D).

        Parameters
        ----------
        name
            Of the graph.
        output_shape
            (N, D)
        image_size
            Height, width.
        batch
            The length of the batch axis, or its name if the batch size is dynamic.
        """
        last = self.resolve(OUTPUT_NAME)
        if last != OUTPUT_NAME:
            self._nodes.append(
                onnx.helper.make_node("Identity", [last], [OUTPUT_NAME], OUTPUT_NAME)
            )
        value = onnx.helper.make_tensor_value_info
        kind = onnx.TensorProto.FLOAT
        return onnx.helper.make_graph(
            self._nodes,
            name,
            [value(INPUT_NAME, kind, [batch, 3, *image_size])],
            [value(OUTPUT_NAME, kind, [batch, *output_shape[1:]])],
            [onnx.numpy_helper.from_array(array, key) for key, array in self._constants.items()],
        )


Converter = Callable[[OnnxWriter, Layer], None]
"""Adds the nodes of a layer."""
