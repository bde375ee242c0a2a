"""`CONVERTERS`: how each MXNet operator is written in ONNX, operator set 13.

A converter gets the graph writer and a `Layer`. It reads every attribute that has an effect, and
adds one or more ONNX nodes, the last of which writes the layer's outputs. Shapes in the converters'
docstrings are MXNet's.
"""

from src.onnx_model.arithmetic import elementwise, reduction, square, with_scalar
from src.onnx_model.graph_writer import Converter
from src.onnx_model.network_layers import (
    activation,
    batch_normalisation,
    convolution,
    fully_connected,
    leaky_relu,
)
from src.onnx_model.pooling import pad, pooling
from src.onnx_model.tensor_operators import (
    concat,
    flatten,
    identity,
    reshape,
    slice_axes,
    slice_axis,
    slice_channel,
    tile,
)

CONVERTERS: dict[str, Converter] = {
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
    "Reshape": reshape,
    "SliceChannel": slice_channel,
    "_copy": identity,
    "_div_scalar": with_scalar("Div"),
    "_maximum": elementwise("Max"),
    "_maximum_scalar": with_scalar("Max"),
    "_minimum": elementwise("Min"),
    "_minimum_scalar": with_scalar("Min"),
    "_minus_scalar": with_scalar("Sub"),
    "_mul_scalar": with_scalar("Mul"),
    "_plus_scalar": with_scalar("Add"),
    "_power_scalar": with_scalar("Pow"),
    "_rdiv_scalar": with_scalar("Div", scalar_first=True),
    "_rminus_scalar": with_scalar("Sub", scalar_first=True),
    "add_n": elementwise("Sum"),
    "broadcast_add": elementwise("Add"),
    "broadcast_div": elementwise("Div"),
    "broadcast_maximum": elementwise("Max"),
    "broadcast_minimum": elementwise("Min"),
    "broadcast_mul": elementwise("Mul"),
    "broadcast_sub": elementwise("Sub"),
    "elemwise_add": elementwise("Add"),
    "elemwise_div": elementwise("Div"),
    "elemwise_mul": elementwise("Mul"),
    "elemwise_sub": elementwise("Sub"),
    "max": reduction("ReduceMax"),
    "mean": reduction("ReduceMean"),
    "min": reduction("ReduceMin"),
    "slice": slice_axes,
    "slice_axis": slice_axis,
    "sqrt": elementwise("Sqrt"),
    "square": square,
    "sum": reduction("ReduceSum"),
    "tile": tile,
}
