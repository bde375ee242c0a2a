"""Converters of layers with parameters, and of activations."""

import numpy as np

from src.onnx_model.graph_writer import OnnxWriter
from src.onnx_model.layer import Layer

ACTIVATIONS = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softrelu": "Softplus",
    "softsign": "Softsign",
}


def convolution(graph: OnnxWriter, layer: Layer) -> None:
    """(N, C, H, W) -> (N, num_filter, H', W')."""
    kernel = layer.sizes("kernel", ())
    if len(kernel) != 2:
        layer.reject(f"kernel {kernel} is not supported, only (height, width)")
    pad = layer.sizes("pad", (0, 0))
    layer.text("no_bias")  # the number of inputs shows it
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


def fully_connected(graph: OnnxWriter, layer: Layer) -> None:
    """(N, ...) -> (N, num_hidden); a feature map is flattened first, in its own order."""
    data, *parameters = layer.inputs
    flatten = layer.value("flatten", True)
    layer.text("no_bias")
    if len(layer.shapes[0]) != 2:
        if not flatten:
            layer.reject(f"flatten=False with an input of shape {layer.shapes[0]}")
        data = graph.add(layer, "Flatten", [data], into=f"{layer.name}_flat", axis=1)
    graph.add(layer, "Gemm", [data, *parameters], transB=1)


def batch_normalisation(graph: OnnxWriter, layer: Layer) -> None:
    """Keeps the shape; uses the moving mean and variance."""
    data, gamma, beta, mean, variance = layer.inputs
    if layer.value("fix_gamma", True):
        # MXNet uses 1 whatever the array contains.
        gamma = graph.constant(gamma, np.ones_like(graph.parameter(layer, gamma)))
    layer.expect("axis", "1")
    layer.expect("output_mean_var", "False", "0")
    epsilon = float(layer.value("eps", 1e-3))
    inputs = [data, gamma, beta, mean, variance]
    graph.add(layer, "BatchNormalization", inputs, epsilon=epsilon)


def activation(graph: OnnxWriter, layer: Layer) -> None:
    """Keeps the shape."""
    kind = layer.text("act_type")
    if kind not in ACTIVATIONS:
        layer.reject(f"act_type={kind} is not supported, only {', '.join(ACTIVATIONS)}")
    graph.add(layer, ACTIVATIONS[kind])


def leaky_relu(graph: OnnxWriter, layer: Layer) -> None:
    """Keeps the shape; learnt slopes (C,) or (1,) get trailing axes, as ONNX broadcasts them."""
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
        layer.reject(f"act_type={kind} is not supported, only prelu, leaky, elu")
