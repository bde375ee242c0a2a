"""The three networks of the MTCNN face detector (Zhang et al. 2016) in MXNet, with 2018's weights.

PNet proposes boxes anywhere in a photo, RNet refines them, ONet refines them again and finds the
landmarks. Layers have the names used in 2018's weight files.
"""

import os
from collections.abc import Mapping

import numpy as np

from src.align.mtcnn_weights import NetworkWeights, load_weights
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.graphs.shapes import infer_shapes

# ---------------------------------------------------------------------------------- graphs


def _layer_variables(layer: str) -> tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """(weights, biases)"""
    return mx.sym.var(f"{layer}_weights"), mx.sym.var(f"{layer}_biases")


def _convolution(data: mx.sym.Symbol, layer: str, kernel: int, num_filter: int) -> mx.sym.Symbol:
    weights, biases = _layer_variables(layer)
    return mx.sym.Convolution(
        data, weights, biases, kernel=(kernel, kernel), num_filter=num_filter, name=layer
    )


def _dense(data: mx.sym.Symbol, layer: str, num_hidden: int) -> mx.sym.Symbol:
    weights, biases = _layer_variables(layer)
    return mx.sym.FullyConnected(data, weights, biases, num_hidden=num_hidden, name=layer)


def _prelu(data: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    return mx.sym.LeakyReLU(data, mx.sym.var(f"{name}_alpha"), act_type="prelu", name=name)


def _max_pool(data: mx.sym.Symbol, kernel: int, keeps_rest: bool) -> mx.sym.Symbol:
    """Stride 2; with `keeps_rest` a smaller last window covers the rest (2018: padding SAME)."""
    return mx.sym.Pooling(
        data,
        kernel=(kernel, kernel),
        stride=(2, 2),
        pool_type="max",
        pooling_convention="full" if keeps_rest else "valid",
    )


def pnet_symbol() -> mx.sym.Symbol:
    """Group of (offsets (N,4,h,w), probability (N,2,h,w)) for images (N,3,H,W) of any size."""
    data = mx.sym.var("data")
    data = _prelu(_convolution(data, "conv1", 3, 10), "PReLU1")  # (N,10,H-2,W-2)
    data = _max_pool(data, 2, keeps_rest=True)
    data = _prelu(_convolution(data, "conv2", 3, 16), "PReLU2")
    data = _prelu(_convolution(data, "conv3", 3, 32), "PReLU3")  # (N,32,h,w)
    offsets = _convolution(data, "conv4-2", 1, 4)
    probability = mx.sym.softmax(_convolution(data, "conv4-1", 1, 2), axis=1)
    return mx.sym.Group([offsets, probability])


def rnet_symbol() -> mx.sym.Symbol:
    """Group of (offsets (N,4), probability (N,2)) for images (N,3,24,24)."""
    data = mx.sym.var("data")
    data = _prelu(_convolution(data, "conv1", 3, 28), "prelu1")  # (N,28,22,22)
    data = _max_pool(data, 3, keeps_rest=True)  # (N,28,11,11)
    data = _prelu(_convolution(data, "conv2", 3, 48), "prelu2")  # (N,48,9,9)
    data = _max_pool(data, 3, keeps_rest=False)  # (N,48,4,4)
    data = _prelu(_convolution(data, "conv3", 2, 64), "prelu3")  # (N,64,3,3)
    data = _prelu(_dense(data, "conv4", 128), "prelu4")
    offsets = _dense(data, "conv5-2", 4)
    probability = mx.sym.softmax(_dense(data, "conv5-1", 2), axis=1)
    return mx.sym.Group([offsets, probability])


def onet_symbol() -> mx.sym.Symbol:
    """Group of (offsets (N,4), landmarks (N,10), probability (N,2)) for images (N,3,48,48)."""
    data = mx.sym.var("data")
    data = _prelu(_convolution(data, "conv1", 3, 32), "prelu1")  # (N,32,46,46)
    data = _max_pool(data, 3, keeps_rest=True)  # (N,32,23,23)
    data = _prelu(_convolution(data, "conv2", 3, 64), "prelu2")  # (N,64,21,21)
    data = _max_pool(data, 3, keeps_rest=False)  # (N,64,10,10)
    data = _prelu(_convolution(data, "conv3", 3, 64), "prelu3")  # (N,64,8,8)
    data = _max_pool(data, 2, keeps_rest=True)  # (N,64,4,4)
    data = _prelu(_convolution(data, "conv4", 2, 128), "prelu4")  # (N,128,3,3)
    data = _prelu(_dense(data, "conv5", 256), "prelu5")
    offsets = _dense(data, "conv6-2", 4)
    landmarks = _dense(data, "conv6-3", 10)
    probability = mx.sym.softmax(_dense(data, "conv6-1", 2), axis=1)
    return mx.sym.Group([offsets, landmarks, probability])


SYMBOLS = {"pnet": pnet_symbol, "rnet": rnet_symbol, "onet": onet_symbol}

# Height and width in pixels. PNet accepts any size of at least its cell.
INPUT_SIZES = {"pnet": 12, "rnet": 24, "onet": 48}


# ---------------------------------------------------------------------------------- networks

# oneDNN keeps what it has prepared for each input shape. Photos differ in size, so without a limit
# a process grows by a gigabyte in some thousand photos. MXNet reads the setting at its first
# operator; a process that has already run one keeps what it had.
CACHE_SETTING = "MXNET_MKLDNN_CACHE_NUM"
CACHE_LIMIT = 256  # of each operator; with 64, photos of one size were aligned 15 % slower


class Network:
    """One of the three networks, with the calling convention of 2018.

    The call takes images (N, W, H, 3), width before height, scaled to -1..1, and returns a tuple of
    float32 arrays, channels last: offsets, landmarks (ONet only), probability.

    The graph is a CachedOp: it accepts any shape without being bound again, and skips the oneDNN
    subgraph pass of bound executors, which fails on some graphs.

    Parameters
    ----------
    name
        'pnet', 'rnet' or 'onet'.
    weights
        Of this network, as from `load_weights`.

    Raises
    ------
    ValueError
        The weights are not those of this network.
    """

    def __init__(self, name: str, weights: NetworkWeights, context: mx.Context) -> None:
        symbol = SYMBOLS[name]()
        parameters = mxnet_parameters(weights)
        _check_shapes(symbol, parameters, INPUT_SIZES[name])
        self._context = context
        self._graph = mx.nd.CachedOp(symbol)
        inputs = symbol.list_inputs()
        self._data_index = inputs.index("data")
        self._inputs = [
            None if key == "data" else mx.nd.array(parameters[key], ctx=context) for key in inputs
        ]

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs, N rows each; see the class."""
        images = np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), dtype=np.float32)
        inputs = list(self._inputs)
        inputs[self._data_index] = mx.nd.array(images, ctx=self._context)
        outputs = [output.asnumpy() for output in self._graph(*inputs)]
        return tuple(
            output.transpose(0, 2, 3, 1) if output.ndim == 4 else output for output in outputs
        )


def create_networks(
    context: mx.Context | None = None, model_path: str | None = None
) -> tuple[Network, Network, Network]:
    """(pnet, rnet, onet)

    Parameters
    ----------
    context
        The CPU if None.
    model_path
        As for `load_weights`.

    Raises
    ------
    FileNotFoundError, InputError
        A weight file is missing or not that of its network.
    """
    os.environ.setdefault(CACHE_SETTING, str(CACHE_LIMIT))
    weights = load_weights(model_path)
    origin = model_path or "the package mtcnn"

    def create(name: str) -> Network:
        try:
            return Network(name, weights[name], context or mx.cpu())
        except ValueError as error:
            raise InputError(f"{origin} does not contain the weights of {name}: {error}") from None

    return create("pnet"), create("rnet"), create("onet")


def mxnet_parameters(weights: NetworkWeights) -> dict[str, np.ndarray]:
    """Weights in MXNet's layout, float32, by the names of the graph's variables."""
    parameters: dict[str, np.ndarray] = {}
    flattened_channels: int | None = None
    for layer, values in weights.items():
        for kind, value in values.items():
            if value.ndim == 4:  # (kernel, kernel, in, out)
                flattened_channels = value.shape[3]
                value = value.transpose(3, 2, 0, 1)
            elif value.ndim == 2:  # (in, out)
                if flattened_channels:
                    value = _channels_first(value, flattened_channels)
                    flattened_channels = None
                value = value.T
            parameters[f"{layer}_{kind}"] = np.ascontiguousarray(value, dtype=np.float32)
    return parameters


def _channels_first(value: np.ndarray, channels: int) -> np.ndarray:
    """The first dense layer's weights (in, out), reordered from channels last to channels first."""
    side = round((value.shape[0] / channels) ** 0.5)
    by_place = value.reshape(side, side, channels, -1)
    return by_place.transpose(2, 0, 1, 3).reshape(value.shape)


def _check_shapes(symbol: mx.sym.Symbol, parameters: Mapping[str, np.ndarray], size: int) -> None:
    """ValueError unless the parameters fit the graph for images of `size`×`size` pixels."""
    for key, shape in infer_shapes(symbol, data=(1, 3, size, size)).arguments.items():
        if key == "data":
            continue
        if key not in parameters:
            raise ValueError(f"{key} is missing")
        if parameters[key].shape != shape:
            raise ValueError(f"{key} has shape {parameters[key].shape}, expected {shape}")
