"""Converters of arithmetic: elementwise operators, operators with a number, reductions."""

from typing import Any

import numpy as np

from src.onnx_model.graph_writer import Converter, OnnxWriter
from src.onnx_model.layer import Layer


def elementwise(onnx_operator: str) -> Converter:
    """A converter for an operator that has the same meaning in ONNX, and no attributes."""

    def convert(graph: OnnxWriter, layer: Layer) -> None:
        graph.add(layer, onnx_operator)

    return convert


def with_scalar(onnx_operator: str, scalar_first: bool = False) -> Converter:
    """A converter for an operator between a tensor and a number."""

    def convert(graph: OnnxWriter, layer: Layer) -> None:
        number = graph.constant(f"{layer.name}_scalar", np.float32(layer.value("scalar")))
        inputs = [number, *layer.inputs] if scalar_first else [*layer.inputs, number]
        graph.add(layer, onnx_operator, inputs)

    return convert


def square(graph: OnnxWriter, layer: Layer) -> None:
    """Keeps the shape."""
    graph.add(layer, "Mul", layer.inputs * 2)


def reduction(onnx_operator: str) -> Converter:
    """A converter for a sum, mean, maximum or minimum over some axes.

    Over all axes, the result has shape (1,).
    """

    def convert(graph: OnnxWriter, layer: Layer) -> None:
        given = layer.value("axis")
        layer.expect("exclude", "False", "0")
        keepdims = bool(layer.value("keepdims", False))
        dimensions = len(layer.shapes[0])
        given = (given,) if isinstance(given, int) else given
        axes = sorted(axis % dimensions for axis in given or range(dimensions))
        if 0 in axes:
            graph.batch_wide.append(layer.name)
        to_scalar = len(axes) == dimensions and not keepdims
        inputs = layer.inputs
        settings: dict[str, Any] = {"keepdims": int(keepdims)}
        if onnx_operator == "ReduceSum":  # its axes are an input, in this operator set
            inputs = [*inputs, graph.constant(f"{layer.name}_axes", np.array(axes, np.int64))]
        else:
            settings["axes"] = axes
        result = graph.add(
            layer, onnx_operator, inputs, f"{layer.name}_scalar" if to_scalar else None, **settings
        )
        if to_scalar:
            axis = graph.constant(f"{layer.name}_axis", np.array([0], np.int64))
            graph.add(layer, "Unsqueeze", [result, axis])

    return convert
