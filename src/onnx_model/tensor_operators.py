"""Converters of operators that rearrange tensors: joining, splitting, slicing, repeating."""

from collections.abc import Sequence

import numpy as np

from src.onnx_model.graph_writer import OnnxWriter
from src.onnx_model.layer import Layer

AXIS_END = int(np.iinfo(np.int64).max)  # ONNX clips the end of a slice to the axis


def flatten(graph: OnnxWriter, layer: Layer) -> None:
    """(N, ...) -> (N, product of the other axes)."""
    graph.add(layer, "Flatten", axis=1)


def reshape(graph: OnnxWriter, layer: Layer) -> None:
    """Any shape of the same size. The batch, the input's first axis, may be dynamic."""
    layer.expect("reverse", "False", "0")
    layer.expect("keep_highest", "False", "0")
    layer.expect("target_shape", "()", "(0,0)", "(0, 0)")
    shape = _onnx_shape(layer, layer.sizes("shape", ()))
    name = graph.constant(f"{layer.name}_shape", np.array(shape, np.int64))
    graph.add(layer, "Reshape", [*layer.inputs, name])


def _onnx_shape(layer: Layer, codes: Sequence[int]) -> list[int]:
    """MXNet's `shape` in ONNX, where 0 copies the axis at the same place and -1 is the rest.

    MXNet's 0 copies the next axis of the input, -2 all that are left, -3 is the product of the next
    two, and -4 splits the next one into the two numbers that follow.
    """
    sizes = layer.shapes[0]
    axis, result, waiting = 0, list[int](), list(codes)

    def copied(first: int) -> int:
        # Only the batch may be dynamic; the size of every other axis is known.
        return 0 if first == 0 and not result else sizes[first]

    while waiting:
        code = waiting.pop(0)
        left = len(sizes) - axis
        if (code in (0, -4) and left < 1) or (code == -3 and left < 2):
            layer.reject(f"its shape {tuple(codes)} does not fit an input of shape {sizes}")
        if code == -2:
            result += [copied(axis), *sizes[axis + 1 :]] if left else []
            axis = len(sizes)
        elif code == -3:
            # With the batch in it, the product is what is left over.
            result.append(-1 if axis == 0 else sizes[axis] * sizes[axis + 1])
            axis += 2
        elif code == -4:
            first, second = waiting.pop(0), waiting.pop(0)
            result += _split(sizes[axis], first, second, batch=axis == 0)
            axis += 1
        else:
            result.append(copied(axis) if code == 0 else code)
            axis += 1
    if result.count(-1) > 1:
        layer.reject(f"its shape {tuple(codes)} changes more than one axis with the batch")
    return result


def _split(size: int, first: int, second: int, batch: bool) -> list[int]:
    """The two axes of a split one; one of the numbers may be -1, and stays so for the batch."""
    if not batch and first == -1:
        first = size // second
    if not batch and second == -1:
        second = size // first
    return [first, second]


def identity(graph: OnnxWriter, layer: Layer) -> None:
    """The same tensor, without a node.

    Dropout is an identity at inference, BlockGrad (which stops gradients) in every forward pass.
    """
    if layer.operator == "Dropout":
        layer.expect("mode", "training")
        layer.text("p")
        layer.text("axes")
    graph.alias(layer.outputs[0], layer.inputs[0])


def concat(graph: OnnxWriter, layer: Layer) -> None:
    """Joins tensors along an axis, by default the channels."""
    graph.add(layer, "Concat", axis=layer.value("dim", 1))


def slice_channel(graph: OnnxWriter, layer: Layer) -> None:
    """Splits a tensor into equal parts along an axis, by default the channels."""
    layer.text("num_outputs")
    layer.expect("squeeze_axis", "False", "0")
    graph.add(layer, "Split", axis=layer.value("axis", 1))


def slice_axis(graph: OnnxWriter, layer: Layer) -> None:
    """The range [begin, end) of one axis; the end None is that of the axis."""
    axis, begin, end = layer.value("axis"), layer.value("begin"), layer.value("end")
    _slice(graph, layer, [axis], [begin], [AXIS_END if end is None else end])


def slice_axes(graph: OnnxWriter, layer: Layer) -> None:
    """The range [begin, end) of each axis; None is the start or the end of the axis."""
    begins, ends = layer.value("begin") or (), layer.value("end") or ()
    if any(step not in (None, 1) for step in layer.value("step") or ()):
        layer.reject("steps other than 1 are not supported")
    pairs = enumerate(zip(begins, ends, strict=True))
    cut = [(axis, begin or 0, AXIS_END if end is None else end) for axis, (begin, end) in pairs]
    cut = [(axis, begin, end) for axis, begin, end in cut if (begin, end) != (0, AXIS_END)]
    _slice(graph, layer, *zip(*cut, strict=True))


def _slice(
    graph: OnnxWriter,
    layer: Layer,
    axes: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
) -> None:
    named = {"begin": begins, "end": ends, "axes": axes}
    bounds = [
        graph.constant(f"{layer.name}_{name}", np.array(numbers, np.int64))
        for name, numbers in named.items()
    ]
    graph.add(layer, "Slice", [*layer.inputs, *bounds])


def tile(graph: OnnxWriter, layer: Layer) -> None:
    """Repeats a tensor along each axis; if there are fewer repeats than axes, along the last."""
    repeats = layer.sizes("reps", ())
    dimensions = len(layer.shapes[0])
    if len(repeats) > dimensions:
        layer.reject(f"it has {len(repeats)} repeats for {dimensions} axes")
    repeats = [1] * (dimensions - len(repeats)) + repeats
    name = graph.constant(f"{layer.name}_reps", np.array(repeats, np.int64))
    graph.add(layer, "Tile", [*layer.inputs, name])
