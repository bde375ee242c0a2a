"""Converters of pooling and padding."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from src.onnx_model.graph_writer import OnnxWriter
from src.onnx_model.layer import Layer


def pooling(graph: OnnxWriter, layer: Layer) -> None:
    """(N, C, H, W) -> (N, C, H', W'), or (N, C, 1, 1) for global pooling."""
    kind = layer.text("pool_type", "max")
    if kind not in ("max", "avg"):
        layer.reject(f"pool_type={kind} is not supported, only max, avg")
    is_global = layer.value("global_pool", False)
    convention = layer.text("pooling_convention", "valid")
    kernel = layer.sizes("kernel", ())
    stride, pad = layer.sizes("stride", (1, 1)), layer.sizes("pad", (0, 0))
    counts_pad = layer.value("count_include_pad", True)
    layer.expect("layout", "NCHW", "None")
    if is_global:
        graph.add(layer, {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[kind])
        return
    if len(kernel) != 2 or convention not in ("valid", "full"):
        layer.reject(
            f"kernel {kernel} with pooling_convention={convention} is not supported, only (height, "
            "width) with valid or full"
        )
    overhang = [0, 0]
    if convention == "full":
        overhang = _overhang(layer, kernel, stride, pad)
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    (data,) = layer.inputs
    if kind == "max":
        graph.add(layer, "MaxPool", pads=_begins_and_ends(pad, overhang), **window)
        return
    if counts_pad and any(pad) and any(overhang):
        # MXNet includes the padding in the average, but not the overhang.
        data = _add_pad(graph, layer, [0, 0, *pad] * 2, 0, into=f"{layer.name}_padded")
        pad, counts_pad = [0, 0], False
    graph.add(
        layer,
        "AveragePool",
        [data],
        pads=_begins_and_ends(pad, overhang),
        count_include_pad=int(counts_pad and any(pad)),
        **window,
    )


def _overhang(
    layer: Layer, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
) -> list[int]:
    """[rows, columns] by which the last window of convention `full` exceeds the padded map."""
    overhang = []
    for length, k, s, p in zip(layer.shapes[0][2:], kernel, stride, pad, strict=True):
        windows = 1 + math.ceil((length + 2 * p - k) / s)
        overhang.append(max(0, (windows - 1) * s + k - length - 2 * p))
    if any(p + o >= k for p, o, k in zip(pad, overhang, kernel, strict=True)):
        layer.reject(f"with kernel {kernel} and stride {stride}, a window lies outside the map")
    return overhang


def _begins_and_ends(pad: list[int], overhang: list[int]) -> list[int]:
    """The ONNX attribute `pads`: before each axis, then after each."""
    return pad + [p + o for p, o in zip(pad, overhang, strict=True)]


def pad(graph: OnnxWriter, layer: Layer) -> None:
    """Lengthens each axis by its two entries of pad_width."""
    layer.expect("mode", "constant")
    width = layer.sizes("pad_width", ())
    _add_pad(graph, layer, width[::2] + width[1::2], layer.value("constant_value", 0))


def _add_pad(
    graph: OnnxWriter, layer: Layer, widths: Sequence[int], value: float, into: str | None = None
) -> str:
    """Adds a `Pad` node; `widths` are the elements before each axis, then after each."""
    inputs = [
        *layer.inputs,
        graph.constant(f"{layer.name}_widths", np.array(widths, np.int64)),
        graph.constant(f"{layer.name}_value", np.float32(value)),
    ]
    return graph.add(layer, "Pad", inputs, into, mode="constant")
