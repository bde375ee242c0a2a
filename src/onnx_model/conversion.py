"""Converts a checkpoint's symbol and arrays to an ONNX model.

MXNet 1.9.1 has its own exporter, `mx.onnx`, which is not used. It calls `onnx.mapping`, which onnx
has removed, so it fails with every current onnx; and fixing it would take more code than the
converters in `src.onnx_model.operators`.
"""

import json

import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import Parameters, mx
from src.graphs.bound import BoundGraph
from src.graphs.shapes import infer_shapes
from src.graphs.writer import Graph
from src.onnx_model.graph_writer import INPUT_NAME, OUTPUT_NAME, OnnxWriter
from src.onnx_model.layer import Layer
from src.onnx_model.libraries import onnx
from src.onnx_model.operators import CONVERTERS

# From December 2020 (ONNX 1.8): programs that read ONNX files support it.
OPERATOR_SET, FORMAT_VERSION = 13, 7
BATCH_AXIS = "batch"  # the axis' name if the batch size is dynamic


def convert(
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    image_size: tuple[int, int],
    batch_size: int = 0,
    source: str = "",
) -> tuple[onnx.ModelProto, list[str]]:
    """(model, names of the layers that compute one value over the complete batch).

    Parameters and layers keep MXNet's names. The thousands of single-channel convolutions in 2018's
    Xception become grouped convolutions with merged parameters (`graphs.channel_groups`).

    Parameters
    ----------
    symbol
        Its only input apart from the parameters is `data`, its output `fc1_output`.
    arg_params, aux_params
        Additional arrays are ignored.
    image_size
        Height, width.
    batch_size
        0: dynamic.
    source
        What the model is made from; written to its metadata.

    Raises
    ------
    InputError
        A layer cannot be written in ONNX, or the output is not one vector per image.
    """
    bound = BoundGraph(symbol, on_cpu=False, for_training=False)
    arg_params, aux_params = bound.to_bound(arg_params, aux_params)
    given = {**arg_params, **aux_params}
    wanted = [*bound.symbol.list_arguments(), *bound.symbol.list_auxiliary_states()]
    writer = OnnxWriter({name: given[name].asnumpy() for name in wanted if name in given})
    shapes = shapes_of_outputs(bound.symbol, (batch_size or 1, 3, *image_size))
    shape = add_layers(writer, json.loads(bound.symbol.tojson()), shapes)
    if len(shape) != 2:
        raise InputError(f"the model's output has shape {shape}: expected one vector per image")
    return to_model(writer, shape, image_size, batch_size, source), writer.batch_wide


def add_layers(
    writer: OnnxWriter, graph: Graph, shapes: dict[str, tuple[int, ...]]
) -> tuple[int, ...]:
    """Adds the nodes of a graph's layers; returns the shape of its output."""
    # (node, output) -> (the tensor's name in the ONNX graph, its shape)
    entries: dict[tuple[int, int], tuple[str, tuple[int, ...]]] = {}
    (head,) = graph["heads"]
    for index, node in enumerate(graph["nodes"]):
        if node["op"] == "null":
            entries[index, 0] = node["name"], shapes[node["name"]]
            continue
        found = output_shapes(shapes, node["name"])
        names = [writer.new_name(name) for name, _ in found]
        if index == head[0]:
            names = [OUTPUT_NAME]
        inputs = [entries[entry[0], entry[1]] for entry in node["inputs"]]
        input_names, input_shapes = [name for name, _ in inputs], [shape for _, shape in inputs]
        attributes = node.get("attrs", {})
        add_layer(
            writer, Layer(node["op"], node["name"], input_names, input_shapes, names, attributes)
        )
        for output, (name, (_, shape)) in enumerate(zip(names, found, strict=True)):
            entries[index, output] = name, shape
    return entries[head[0], head[1]][1]


def shapes_of_outputs(
    symbol: mx.sym.Symbol, data_shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """{output name: shape} of all layers and variables of a symbol."""
    internals = symbol.get_internals()
    shapes = infer_shapes(internals, data=data_shape).outputs
    return dict(zip(internals.list_outputs(), shapes, strict=True))


def output_shapes(
    shapes: dict[str, tuple[int, ...]], name: str
) -> list[tuple[str, tuple[int, ...]]]:
    """(name in the ONNX graph, shape) of each output of a layer."""
    if f"{name}_output" in shapes:
        return [(name, shapes[f"{name}_output"])]
    found: list[tuple[str, tuple[int, ...]]] = []
    while f"{name}_output{len(found)}" in shapes:
        key = f"{name}_output{len(found)}"
        found.append((key, shapes[key]))
    return found


def add_layer(writer: OnnxWriter, layer: Layer) -> None:
    """Adds the nodes of one layer."""
    if layer.operator not in CONVERTERS:
        layer.reject("this operator is not supported")
    CONVERTERS[layer.operator](writer, layer)
    layer.reject_unread()


def to_model(
    writer: OnnxWriter,
    output_shape: tuple[int, ...],
    image_size: tuple[int, int],
    batch_size: int,
    source: str,
) -> onnx.ModelProto:
    """The model with its metadata, after onnx's own checks."""
    height, width = image_size
    metadata = {
        "input": f"{INPUT_NAME}: faces {height}x{width}, RGB, 0..255, float32, (N, 3, H, W)",
        "output": f"{OUTPUT_NAME}: embeddings of size {output_shape[1]}, not normalised",
        "embedding_size": str(output_shape[1]),
        "source": f"MXNet checkpoint {source}",
    }
    if writer.batch_wide:
        metadata["batch"] = "an embedding depends on the other faces of its batch"
    model = onnx.helper.make_model(
        writer.to_graph("embedding", output_shape, image_size, batch_size or BATCH_AXIS),
        producer_name="insightface-mxnet-port",
        ir_version=FORMAT_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPERATOR_SET)],
        doc_string="; ".join(f"{key}: {value}" for key, value in metadata.items()),
    )
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def describe(model: onnx.ModelProto) -> str:
    """A model's size, input and output in one line."""
    values = [
        f"{what} {value.name} "
        f"({', '.join(d.dim_param or str(d.dim_value) for d in value.type.tensor_type.shape.dim)})"
        for what, (value,) in (("input", model.graph.input), ("output", model.graph.output))
    ]
    count = sum(int(np.prod(array.dims)) for array in model.graph.initializer)
    return (
        f"ONNX operator set {OPERATOR_SET}, {len(model.graph.node)} nodes, {count:,} stored "
        f"values, {', '.join(values)}"
    )
