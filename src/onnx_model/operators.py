"""How each operator of MXNet is written in ONNX, operator set 13: `CONVERTERS`.

A converter takes the graph that is being written and a `Layer`, reads every attribute that has an
effect, and adds one or more ONNX nodes, the last of which write the layer's outputs. Shapes in the
comments are MXNet's.
"""

import math

import numpy as np

END = np.iinfo(np.int64).max  # in ONNX a slice's end beyond the axis is the axis' end


def convolution(graph, layer):
    """(N, C, H, W) -> (N, num_filter, H', W')."""
    kernel = layer.sizes("kernel", ())
    if len(kernel) != 2:
        layer.refuse("only convolutions over height and width are known")
    pad = layer.sizes("pad", (0, 0))
    layer.text("no_bias")  # the number of inputs says it
    layer.expect("layout", "NCHW", "None")
    graph.add(
        layer,
        "Conv",
        kernel_shape=kernel,
        strides=layer.sizes("stride", (1, 1)),
        dilations=layer.sizes("dilate", (1, 1)),
        pads=pad + pad,
        group=layer.value("num_group", 1),
    )


def fully_connected(graph, layer):
    """(N, ...) -> (N, num_hidden); a feature map is flattened first, in its own order."""
    data, *parameters = layer.inputs
    flatten = layer.value("flatten", True)
    layer.text("no_bias")
    if len(layer.shapes[0]) != 2:
        if not flatten:
            layer.refuse(f"flatten=False on an input of shape {layer.shapes[0]}")
        data = graph.add(layer, "Flatten", [data], into=f"{layer.name}_flat", axis=1)
    graph.add(layer, "Gemm", [data, *parameters], transB=1)


def batch_normalisation(graph, layer):
    """The same shape; the statistics are the moving ones."""
    data, gamma, beta, mean, variance = layer.inputs
    if layer.value("fix_gamma", True):
        # MXNet takes 1 whatever the array holds.
        gamma = graph.constant(gamma, np.ones_like(graph.parameter(layer, gamma)))
    layer.expect("axis", "1")
    layer.expect("output_mean_var", "False", "0")
    epsilon = float(layer.value("eps", 1e-3))
    inputs = [data, gamma, beta, mean, variance]
    graph.add(layer, "BatchNormalization", inputs, epsilon=epsilon)


ACTIVATIONS = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softrelu": "Softplus",
    "softsign": "Softsign",
}


def activation(graph, layer):
    """The same shape."""
    kind = layer.text("act_type")
    if kind not in ACTIVATIONS:
        layer.refuse(f"act_type={kind}, known are {', '.join(ACTIVATIONS)}")
    graph.add(layer, ACTIVATIONS[kind])


def leaky_relu(graph, layer):
    """The same shape; a learnt slope (C,) or (1,) is turned to ONNX' broadcasting."""
    kind = layer.text("act_type", "leaky")
    slope = float(layer.value("slope", 0.25))
    if kind == "prelu":
        data, gamma = layer.inputs
        slopes = graph.parameter(layer, gamma)
        slopes = slopes.reshape(-1, *[1] * (len(layer.shapes[0]) - 2))
        graph.add(layer, "PRelu", [data, graph.constant(gamma, slopes)])
    elif kind in ("leaky", "elu"):
        graph.add(layer, {"leaky": "LeakyRelu", "elu": "Elu"}[kind], alpha=slope)
    else:
        layer.refuse(f"act_type={kind}, known are prelu, leaky and elu")


def pooling(graph, layer):
    """(N, C, H, W) -> (N, C, H', W'), or (N, C, 1, 1) where it is global."""
    kind = layer.text("pool_type", "max")
    if kind not in ("max", "avg"):
        layer.refuse(f"pool_type={kind}, known are max and avg")
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
        layer.refuse(f"kernel {kernel}, pooling_convention={convention}")
    beyond = [0, 0]
    if convention == "full":
        beyond = _rows_beyond(layer, kernel, stride, pad)
    window = {"kernel_shape": kernel, "strides": stride}
    (data,) = layer.inputs
    if kind == "max":
        graph.add(layer, "MaxPool", pads=_with_ends(pad, beyond), **window)
        return
    if counts_pad and any(pad) and any(beyond):
        # MXNet counts the padding into the average, but not what lies beyond it.
        data = _add_pad(graph, layer, [0, 0, *pad] * 2, 0, into=f"{layer.name}_padded")
        pad, counts_pad = [0, 0], False
    graph.add(
        layer,
        "AveragePool",
        [data],
        pads=_with_ends(pad, beyond),
        count_include_pad=int(counts_pad and any(pad)),
        **window,
    )


def _rows_beyond(layer, kernel, stride, pad):
    """[rows, columns] by which the last window of the convention `full` passes the padded map."""
    beyond = []
    for length, k, s, p in zip(layer.shapes[0][2:], kernel, stride, pad, strict=True):
        windows = 1 + math.ceil((length + 2 * p - k) / s)
        beyond.append(max(0, (windows - 1) * s + k - length - 2 * p))
    if any(p + b >= k for p, b, k in zip(pad, beyond, kernel, strict=True)):
        layer.refuse(f"a window of {kernel} in steps of {stride} lies beyond the map")
    return beyond


def _with_ends(pad, beyond):
    return pad + [p + b for p, b in zip(pad, beyond, strict=True)]


def _add_pad(graph, layer, widths, value, into=None):
    """Adds `widths` elements: those before each axis, then those behind each."""
    widths = graph.constant(f"{layer.name}_widths", np.array(widths, np.int64))
    value = graph.constant(f"{layer.name}_value", np.float32(value))
    return graph.add(layer, "Pad", [*layer.inputs, widths, value], into, mode="constant")


def pad(graph, layer):
    """Each axis longer by its two entries of pad_width."""
    layer.expect("mode", "constant")
    width = layer.sizes("pad_width", ())
    _add_pad(graph, layer, width[::2] + width[1::2], layer.value("constant_value", 0))


def flatten(graph, layer):
    """(N, ...) -> (N, the product of the rest)."""
    graph.add(layer, "Flatten", axis=1)


def identity(graph, layer):
    """The same tensor: no node, the outputs are the inputs.

    Dropout is one at inference, BlockGrad (the stop of a gradient) is one forward.
    """
    if layer.operator == "Dropout":
        layer.expect("mode", "training")
        layer.text("p")
        layer.text("axes")
    graph.stand_for(layer.outputs[0], layer.inputs[0])


def concat(graph, layer):
    """Maps one behind the other along an axis, the channels by default."""
    graph.add(layer, "Concat", axis=layer.value("dim", 1))


def slice_channel(graph, layer):
    """Equal parts along an axis, the channels by default."""
    layer.text("num_outputs")
    layer.expect("squeeze_axis", "False", "0")
    graph.add(layer, "Split", axis=layer.value("axis", 1))


def slice_axis(graph, layer):
    """What lies from `begin` to before `end` (None: the axis' end) on one axis."""
    axis, begin, end = layer.value("axis"), layer.value("begin"), layer.value("end")
    _slice(graph, layer, [axis], [begin], [END if end is None else end])


def slice_axes(graph, layer):
    """What lies from `begin` to before `end` on each axis; None: from or to its end."""
    begins, ends = layer.sizes("begin", ()), layer.sizes("end", ())
    if any(step not in (None, 1) for step in layer.sizes("step", ())):
        layer.refuse("it takes steps")
    pairs = enumerate(zip(begins, ends, strict=True))
    cut = [(axis, begin or 0, END if end is None else end) for axis, (begin, end) in pairs]
    cut = [(axis, begin, end) for axis, begin, end in cut if (begin, end) != (0, END)]
    _slice(graph, layer, *zip(*cut, strict=True))


def _slice(graph, layer, axes, begins, ends):
    named = {"begin": begins, "end": ends, "axes": axes}
    bounds = [
        graph.constant(f"{layer.name}_{name}", np.array(numbers, np.int64))
        for name, numbers in named.items()
    ]
    graph.add(layer, "Slice", [*layer.inputs, *bounds])


def tile(graph, layer):
    """Repeated along each axis; fewer repeats than axes are those of the last axes."""
    repeats = layer.sizes("reps", ())
    dimensions = len(layer.shapes[0])
    if len(repeats) > dimensions:
        layer.refuse(f"{len(repeats)} repeats of {dimensions} axes")
    repeats = [1] * (dimensions - len(repeats)) + repeats
    repeats = graph.constant(f"{layer.name}_reps", np.array(repeats, np.int64))
    graph.add(layer, "Tile", [*layer.inputs, repeats])


def reduction(onnx_operator):
    """A converter for a sum, mean or maximum over some axes, or over all: then of shape (1,)."""

    def convert(graph, layer):
        axes = layer.value("axis")
        layer.expect("exclude", "False", "0")
        keepdims = bool(layer.value("keepdims", False))
        dimensions = len(layer.shapes[0])
        axes = (axes,) if isinstance(axes, int) else axes
        axes = sorted(axis % dimensions for axis in axes or range(dimensions))
        if 0 in axes:
            graph.batch_wide.append(layer.name)
        to_scalar = len(axes) == dimensions and not keepdims
        inputs, settings = layer.inputs, {"keepdims": int(keepdims)}
        if onnx_operator == "ReduceSum":  # the first whose axes became an input
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


def plain(onnx_operator):
    """A converter for an operator that ONNX has as it is, without attributes."""

    def convert(graph, layer):
        graph.add(layer, onnx_operator)

    return convert


def with_scalar(onnx_operator, scalar_first=False):
    """A converter for a tensor and a number."""

    def convert(graph, layer):
        number = np.float32(layer.value("scalar"))
        number = graph.constant(f"{layer.name}_scalar", number)
        inputs = [number, *layer.inputs] if scalar_first else [*layer.inputs, number]
        graph.add(layer, onnx_operator, inputs)

    return convert


def square(graph, layer):
    """The same shape."""
    graph.add(layer, "Mul", layer.inputs * 2)


CONVERTERS = {
    "Activation": activation,
    "BatchNorm": batch_normalisation,
    "BlockGrad": identity,
    "Concat": concat,
    "Convolution": convolution,
    "Dropout": identity,
    "Flatten": flatten,
    "FullyConnected": fully_connected,
    "LeakyReLU": leaky_relu,
    "Pad": pad,
    "Pooling": pooling,
    "SliceChannel": slice_channel,
    "_copy": identity,
    "_div_scalar": with_scalar("Div"),
    "_maximum": plain("Max"),
    "_maximum_scalar": with_scalar("Max"),
    "_minimum": plain("Min"),
    "_minimum_scalar": with_scalar("Min"),
    "_minus_scalar": with_scalar("Sub"),
    "_mul_scalar": with_scalar("Mul"),
    "_plus_scalar": with_scalar("Add"),
    "_power_scalar": with_scalar("Pow"),
    "_rdiv_scalar": with_scalar("Div", scalar_first=True),
    "_rminus_scalar": with_scalar("Sub", scalar_first=True),
    "add_n": plain("Sum"),
    "broadcast_add": plain("Add"),
    "broadcast_div": plain("Div"),
    "broadcast_maximum": plain("Max"),
    "broadcast_minimum": plain("Min"),
    "broadcast_mul": plain("Mul"),
    "broadcast_sub": plain("Sub"),
    "elemwise_add": plain("Add"),
    "elemwise_div": plain("Div"),
    "elemwise_mul": plain("Mul"),
    "elemwise_sub": plain("Sub"),
    "max": reduction("ReduceMax"),
    "mean": reduction("ReduceMean"),
    "min": reduction("ReduceMin"),
    "slice": slice_axes,
    "slice_axis": slice_axis,
    "sqrt": plain("Sqrt"),
    "square": square,
    "sum": reduction("ReduceSum"),
    "tile": tile,
}
