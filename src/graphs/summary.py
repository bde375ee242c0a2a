"""Summarises a network: layers, shapes, parameters and multiply-adds.

A multiply-add is one multiplication with its addition. Only convolutions and fully connected layers
are counted, for one image, without biases; normalisation, activations, pooling and sums are not.
Papers call this number MAdds, MACs or, mostly, FLOPs (MobileFaceNet 221 M, ResNet-50 4.1 G); papers
that count operations give twice as many.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.shapes import ShapeError, infer_shapes

MOST_ROWS = 100  # of a table, if its depth is not given

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """One operator of a graph, or several as one row of a table.

    Attributes
    ----------
    operators
        Operator → number of times it occurs; one entry for a single layer.
    shape
        Of the (last) output, without the batch axis: (C, H, W) or (D,).
    parameters
        Number of learnt values. If layers share an array, it counts for the first one.
    auxiliary
        Number of other stored values: means and variances of batch normalisation.
    inputs
        Names of the layers (or rows) whose outputs it takes.
    """

    name: str
    operators: Counter[str]
    shape: Shape
    parameters: int
    auxiliary: int
    multiply_adds: int
    inputs: tuple[str, ...]


def multiply_adds(operator: str, inputs: Sequence[Shape], output: Shape) -> int:
    """Multiply-adds of one layer; 0 for operators that are not counted.

    Parameters
    ----------
    operator
        MXNet's name.
    inputs
        Shapes of data, weight, …
    output
        Shape; the first axis is the batch.
    """
    if operator == "Convolution":  # weight (filters, C / groups, kernel), once per output position
        return output[0] * math.prod(output[2:]) * math.prod(inputs[1])
    if operator == "Deconvolution":  # weight (C, filters / groups, kernel)
        return output[0] * math.prod(inputs[0][2:]) * math.prod(inputs[1])
    if operator == "FullyConnected":  # weight (D, inputs), once per row
        return math.prod(output[:-1]) * math.prod(inputs[1])
    return 0


def read_layers(symbol: mx.sym.Symbol, image_size: Sequence[int] = (112, 112)) -> list[Layer]:
    """The layers of a symbol, each after its inputs.

    Parameters
    ----------
    symbol
        Its only input is `data`, (N, 3, H, W).
    image_size
        Height, width.

    Raises
    ------
    InputError
        The network does not accept photos of that size.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    shapes = _output_shapes(symbol, nodes, image_size)
    auxiliary = set(symbol.list_auxiliary_states())
    layers: list[Layer] = []
    counted = {"data"}
    for node, output in zip(nodes, shapes, strict=True):
        if node["op"] == "null":
            continue
        sources = [(nodes[entry[0]], shapes[entry[0]][entry[1]]) for entry in node["inputs"]]
        own = {
            source["name"]: math.prod(shape)
            for source, shape in sources
            if source["op"] == "null" and source["name"] not in counted
        }
        counted.update(own)
        layers.append(
            Layer(
                name=node["name"],
                operators=Counter([node["op"]]),
                shape=tuple(output[0][1:]),
                parameters=sum(own[name] for name in own if name not in auxiliary),
                auxiliary=sum(own[name] for name in own if name in auxiliary),
                multiply_adds=multiply_adds(node["op"], [s for _, s in sources], output[0]),
                inputs=tuple(source["name"] for source, _ in sources if source["op"] != "null"),
            )
        )
    return layers


def _output_shapes(
    symbol: mx.sym.Symbol, nodes: Sequence[dict[str, Any]], image_size: Sequence[int]
) -> list[list[Shape]]:
    """For each node, the shapes of its outputs for a batch of one image."""
    internals = symbol.get_internals()
    try:
        shapes = infer_shapes(internals, data=(1, 3, *image_size)).outputs
    except ShapeError as error:
        raise InputError(
            f"the network does not accept photos of {image_size[0]}×{image_size[1]}: {error}"
        ) from None
    outputs = list(zip(internals.list_outputs(), shapes, strict=True))
    position, found = 0, []
    for node in nodes:
        end = position + 1
        if node["op"] != "null":  # several outputs are NAME_output0, NAME_output1, …
            one_of_several = re.compile(re.escape(node["name"]) + r"_output\d+")
            while end < len(outputs) and one_of_several.fullmatch(outputs[end][0]):
                end += 1
        found.append([shape for _, shape in outputs[position:end]])
        position = end
    return found


def merge_layers(layers: list[Layer], depth: int | None = None) -> list[Layer]:
    """The rows of a table, each merging the layers of one part of the network.

    Parameters
    ----------
    depth
        Number of parts of a layer's name that make a row: 2 merges stage1_unit1_conv1 and
        stage1_unit1_bn1 into one row; 0 gives each layer its own row. None uses the largest number
        with at most `MOST_ROWS` rows; if there is none, layers with the same map size are merged.
    """
    if depth == 0 or (depth is None and len(layers) <= MOST_ROWS):
        return layers
    if depth is not None:
        return _merge(layers, _row_names(layers, depth))
    deepest = max(len(_parts(layer.name)) for layer in layers)
    for candidate in range(deepest, 0, -1):
        names = _row_names(layers, candidate)
        if len(set(names)) <= MOST_ROWS:
            return _merge(layers, names)
    return _merge(layers, ["×".join(map(str, layer.shape[1:])) or "vectors" for layer in layers])


def _parts(name: str) -> list[str]:
    return [part for part in name.split("_") if part]


def _row_names(layers: Iterable[Layer], depth: int) -> list[str]:
    """For each layer, the name of its row; layers with a default name join the previous row."""
    names: list[str] = []
    for layer in layers:
        (operator,) = layer.operators
        # MXNet's default names: _plus3, slicechannel0.
        unnamed = re.fullmatch(rf"_.*|{re.escape(operator.lower())}\d+", layer.name)
        if unnamed and not layer.parameters and names:
            names.append(names[-1])
        else:
            parts = _parts(layer.name)
            # The last part of a long name is the operator (conv2d, bn1), not a row.
            names.append("_".join(parts[: min(depth, max(2, len(parts) - 1))]))
    return names


def _merge(layers: Sequence[Layer], names: Sequence[str]) -> list[Layer]:
    """One row for each different name; `names` has the row name of each layer."""
    row_of = dict(zip((layer.name for layer in layers), names, strict=True))
    rows: dict[str, list[Layer]] = {}
    for layer, name in zip(layers, names, strict=True):
        rows.setdefault(name, []).append(layer)
    return [
        Layer(
            name=name,
            operators=sum((layer.operators for layer in members), Counter()),
            # A split at the end belongs to the next row: in Xception it has an output per channel.
            shape=([m for m in members if "SliceChannel" not in m.operators] or members)[-1].shape,
            parameters=sum(layer.parameters for layer in members),
            auxiliary=sum(layer.auxiliary for layer in members),
            multiply_adds=sum(layer.multiply_adds for layer in members),
            inputs=tuple(
                dict.fromkeys(
                    row_of[source]
                    for layer in members
                    for source in layer.inputs
                    if row_of[source] != name
                )
            ),
        )
        for name, members in rows.items()
    ]


def total(layers: Sequence[Layer]) -> tuple[int, int, int]:
    """(parameters, auxiliary, multiply_adds) of all layers together."""
    return (
        sum(layer.parameters for layer in layers),
        sum(layer.auxiliary for layer in layers),
        sum(layer.multiply_adds for layer in layers),
    )
