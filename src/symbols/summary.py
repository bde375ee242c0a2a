"""What a network is made of: layers, shapes, parameters and multiply-adds.

A multiply-add is one product and its addition. Counted are those of convolutions and fully
connected layers, for one photo, without biases. Papers give this number as MAdds, MACs or, mostly,
FLOPs (MobileFaceNet 221 M, ResNet-50 4.1 G); those who count operations give twice as many.
Normalisation, activations, pooling and sums are not counted.
"""

import contextlib
import io
import json
import math
import re
from collections import Counter
from typing import NamedTuple

from src.common.errors import InputError
from src.common.mxnet_backend import mx

MOST_ROWS = 100  # of a table that chooses its own depth


class Layer(NamedTuple):
    """One operator of a graph, or several as one row.

    Attributes
    ----------
    name : str
    operators : Counter
        Operator → how often it occurs; one entry for a single layer.
    shape : tuple of int
        Of the (last) output, without the batch: (C, H, W) or (D,).
    parameters : int
        Numbers that training learns. What two layers share is the first one's.
    auxiliary : int
        Numbers kept beside them: means and variances of batch normalisation.
    multiply_adds : int
    inputs : tuple of str
        Names of the layers (or rows) that it takes data from.
    """

    name: str
    operators: Counter
    shape: tuple
    parameters: int
    auxiliary: int
    multiply_adds: int
    inputs: tuple


def multiply_adds(operator, inputs, output):
    """Products of one layer.

    Parameters
    ----------
    operator : str
    inputs : list of tuple
        Shapes of data, weight, ….
    output : tuple
        Shape; the first axis is the batch.
    """
    if operator == "Convolution":  # weight (filters, C / groups, kernel), once for each place
        return output[0] * math.prod(output[2:]) * math.prod(inputs[1])
    if operator == "Deconvolution":  # weight (C, filters / groups, kernel)
        return output[0] * math.prod(inputs[0][2:]) * math.prod(inputs[1])
    if operator == "FullyConnected":  # weight (D, inputs), once for each row
        return math.prod(output[:-1]) * math.prod(inputs[1])
    return 0


def read_layers(symbol, image_size=(112, 112)):
    """List of the `Layer`s of a symbol, inputs before what takes them.

    Parameters
    ----------
    symbol : Symbol
        With the only input `data`, (N, 3, H, W).
    image_size : (int, int)
        Height and width.

    Raises
    ------
    InputError
        The network does not take photos of that size.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    shapes = _output_shapes(symbol, nodes, image_size)
    auxiliary = set(symbol.list_auxiliary_states())
    layers, counted = [], {"data"}
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


def _output_shapes(symbol, nodes, image_size):
    """Of each node, the list of its outputs' shapes for a batch of one photo."""
    internals = symbol.get_internals()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints all shapes on an error
            _, shapes, _ = internals.infer_shape(data=(1, 3, *image_size))
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"the network does not take photos of {image_size[0]}×{image_size[1]}: {reason}"
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


def merge_layers(layers, depth=None):
    """The layers as rows of a table, those of one part of the network together.

    Parameters
    ----------
    layers : list of Layer
    depth : int or None
        How many parts of a layer's name a row bears: 2 makes one row of stage1_unit1_conv1 and
        stage1_unit1_bn1; 0 gives every layer its own row. None takes the deepest that has at most
        `MOST_ROWS` rows; where names say nothing, one row is what has maps of one size.

    Returns
    -------
    list of Layer
    """
    if depth == 0 or (depth is None and len(layers) <= MOST_ROWS):
        return layers
    if depth is not None:
        return _merge(layers, _names_of_rows(layers, depth))
    deepest = max(len(_parts(layer.name)) for layer in layers)
    for candidate in range(deepest, 0, -1):
        names = _names_of_rows(layers, candidate)
        if len(set(names)) <= MOST_ROWS:
            return _merge(layers, names)
    return _merge(layers, ["×".join(map(str, layer.shape[1:])) or "vectors" for layer in layers])


def _parts(name):
    return [part for part in name.split("_") if part]


def _names_of_rows(layers, depth):
    """Of each layer the name of its row; what has no name of its own goes with what is before."""
    names = []
    for layer in layers:
        (operator,) = layer.operators
        # MXNet's own names: _plus3, slicechannel0.
        unnamed = re.fullmatch(rf"_.*|{re.escape(operator.lower())}\d+", layer.name)
        if unnamed and not layer.parameters and names:
            names.append(names[-1])
        else:
            parts = _parts(layer.name)
            # The last of many parts is the operator (conv2d, bn1), which makes no row.
            names.append("_".join(parts[: min(depth, max(2, len(parts) - 1))]))
    return names


def _merge(layers, names):
    row_of = dict(zip((layer.name for layer in layers), names, strict=True))
    rows = {}
    for layer, name in zip(layers, names, strict=True):
        rows.setdefault(name, []).append(layer)
    return [
        Layer(
            name=name,
            operators=sum((layer.operators for layer in members), Counter()),
            # A split at the end belongs to what comes next: Xception has one a channel.
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


def total(layers):
    """(parameters, auxiliary, multiply_adds) of all layers."""
    return tuple(
        sum(getattr(layer, field) for layer in layers)
        for field in ("parameters", "auxiliary", "multiply_adds")
    )
