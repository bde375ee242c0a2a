"""From a checkpoint's symbol and arrays to an ONNX model.

MXNet 1.9.1 brings an exporter of its own, `mx.onnx`. It is not used: it calls `onnx.mapping`, which
onnx removed, so that it fails with every onnx of today; and the table of `src.onnx_model.operators`
is shorter than what would have to be put right in it.
"""

import json

import numpy as np

from src.common.errors import InputError
from src.onnx_model.layer import Layer
from src.onnx_model.libraries import onnx
from src.onnx_model.operators import CONVERTERS
from src.symbols.channel_groups import group_channels

# Of December 2020 (ONNX 1.8): the programs that read ONNX files know it.
OPERATOR_SET, FORMAT_VERSION = 13, 7
INPUT_NAME, OUTPUT_NAME = "data", "fc1"
BATCH_AXIS = "batch"  # its name where its length is open


class GraphWriter:
    """Nodes and constants of an ONNX graph; every name in it is given once.

    Attributes
    ----------
    batch_wide : list of str
        The layers that reckon over the whole batch.
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._constants = {}
        self._stands_for = {}
        self._names = {INPUT_NAME, OUTPUT_NAME, *parameters}
        self._nodes = []
        self.batch_wide = []

    def new_name(self, wish):
        """`wish` itself, or with a number behind it where the name is taken."""
        name, count = wish, 1
        while name in self._names:
            count += 1
            name = f"{wish}_{count}"
        self._names.add(name)
        return name

    def parameter(self, layer, name):
        """The array (of float32) of one of the layer's parameters."""
        if name not in self._parameters:
            layer.refuse(f"{name} is not one of the checkpoint's arrays")
        return self._parameters[name]

    def constant(self, name, array):
        """Puts an array into the file; returns the name under which it stands there.

        That is `name`, unless another array has it already.
        """
        array = np.asarray(array)
        known = self._constants.get(name)
        if known is not None and (known.shape != array.shape or not np.array_equal(known, array)):
            name = self.new_name(name)
        self._names.add(name)
        self._constants[name] = array
        return name

    def stand_for(self, name, source):
        """From here on the tensor `name` is another word for `source`."""
        self._stands_for[name] = self._stands_for.get(source, source)

    def source(self, name):
        """The tensor that a name means; a parameter is put into the file."""
        name = self._stands_for.get(name, name)
        if name in self._parameters and name not in self._constants:
            self.constant(name, self._parameters[name])
        return name

    def add(self, layer, operator, inputs=None, into=None, **attributes):
        """Adds a node; returns the name of its first output.

        Parameters
        ----------
        layer : Layer
            What the node belongs to.
        operator : str
            Of ONNX.
        inputs : list of str, optional
            The layer's own by default.
        into : str, optional
            Name for a result between; by default the node writes the layer's outputs.
        **attributes
            Of the ONNX operator.
        """
        outputs = [self.new_name(into)] if into else layer.outputs
        inputs = [self.source(name) for name in (layer.inputs if inputs is None else inputs)]
        self._nodes.append(
            onnx.helper.make_node(
                operator, inputs, outputs, name=outputs[0] if into else layer.name, **attributes
            )
        )
        return outputs[0]

    def to_graph(self, name, output_shape, image_size, batch):
        """The GraphProto from images to embeddings.

        Parameters
        ----------
        name : str
        output_shape : tuple
            (N, D)
        image_size : (int, int)
            Height and width.
        batch : int or str
            The length of the batch axis, or its name.
        """
        last = self.source(OUTPUT_NAME)
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


def convert(symbol, arg_params, aux_params, image_size, batch_size=0, source=""):
    """(ModelProto, names of the layers that reckon over the whole batch) of an embedding network.

    Parameters and layers keep MXNet's names. The thousands of convolutions of one channel each in
    2018's Xception become grouped ones, from the same parameters.

    Parameters
    ----------
    symbol : Symbol
        Its only input besides the parameters is `data`, its output `fc1_output`.
    arg_params, aux_params : dict of str to NDArray
        May hold more than needed.
    image_size : (int, int)
        Height and width.
    batch_size : int
        0 leaves it open.
    source : str
        What the model is made from; stands in its metadata.

    Raises
    ------
    InputError
        A layer cannot be written in ONNX, or the output is not one vector an image.
    """
    symbol = group_channels(symbol)
    graph = json.loads(symbol.tojson())
    shapes = infer_shapes(symbol, (batch_size or 1, 3, *image_size))
    given = {**arg_params, **aux_params}
    wanted = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    writer = GraphWriter({name: given[name].asnumpy() for name in wanted if name in given})
    entries = {}  # (node, output) -> (the tensor's name in the ONNX graph, its shape)
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
        taken, shapes_taken = [name for name, _ in inputs], [shape for _, shape in inputs]
        attributes = node.get("attrs", {})
        add_layer(writer, Layer(node["op"], node["name"], taken, shapes_taken, names, attributes))
        for output, (name, (_, shape)) in enumerate(zip(names, found, strict=True)):
            entries[index, output] = name, shape
    _, shape = entries[head[0], head[1]]
    if len(shape) != 2:
        raise InputError(f"the model's output has shape {shape}: expected one vector an image")
    return to_model(writer, shape, image_size, batch_size, source), writer.batch_wide


def infer_shapes(symbol, data_shape):
    """{name of an output: its shape} for all of a symbol's layers and variables."""
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(data=data_shape)
    return dict(zip(internals.list_outputs(), shapes, strict=True))


def output_shapes(shapes, name):
    """[(name in the ONNX graph, shape)] of the outputs of a layer."""
    if f"{name}_output" in shapes:
        return [(name, shapes[f"{name}_output"])]
    found = []
    while f"{name}_output{len(found)}" in shapes:
        key = f"{name}_output{len(found)}"
        found.append((key, shapes[key]))
    return found


def add_layer(writer, layer):
    """Writes one layer's nodes."""
    if layer.operator not in CONVERTERS:
        layer.refuse("this operator is not known")
    CONVERTERS[layer.operator](writer, layer)
    layer.finish()


def to_model(writer, output_shape, image_size, batch_size, source):
    """The ModelProto, checked by ONNX' own rules."""
    height, width = image_size
    told = {
        "input": f"{INPUT_NAME}: faces {height}x{width}, RGB, 0..255, float32, (N, 3, H, W)",
        "output": f"{OUTPUT_NAME}: embeddings of size {output_shape[1]}, not normalised",
        "embedding_size": str(output_shape[1]),
        "source": f"MXNet checkpoint {source}",
    }
    if writer.batch_wide:
        told["batch"] = "an embedding depends on the other faces of its batch"
    model = onnx.helper.make_model(
        writer.to_graph("embedding", output_shape, image_size, batch_size or BATCH_AXIS),
        producer_name="insightface-mxnet-port",
        ir_version=FORMAT_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPERATOR_SET)],
        doc_string="; ".join(f"{key}: {value}" for key, value in told.items()),
    )
    onnx.helper.set_model_props(model, told)
    onnx.checker.check_model(model, full_check=True)
    return model


def describe(model):
    """A model's inputs, outputs and size in one line."""
    values = [
        f"{what} {value.name} "
        f"({', '.join(d.dim_param or str(d.dim_value) for d in value.type.tensor_type.shape.dim)})"
        for what, (value,) in (("input", model.graph.input), ("output", model.graph.output))
    ]
    count = sum(int(np.prod(array.dims)) for array in model.graph.initializer)
    return (
        f"ONNX operator set {OPERATOR_SET}, {len(model.graph.node)} nodes, {count:,} numbers, "
        f"{', '.join(values)}"
    )
