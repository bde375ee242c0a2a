"""The graphs of the MTCNN face detector (Zhang et al. 2016) and their parameters.

PNet proposes boxes anywhere in a photo, RNet refines them, ONet refines them again and finds the
landmarks. Layers have the names of 2018's weight files. Two things differ from those files, and
leave the function as it is:

- Channels are filled up with zeros to whole blocks of 16, and dense layers are convolutions. oneDNN
  only has fast kernels for such convolutions: RNet's first layer has 28 channels, PNet's 10.
- PReLU(x) is slope · x + (1 - slope) · relu(x), each product a convolution of single channels, with
  which oneDNN fuses the sum. MXNet's own PReLU leaves oneDNN's memory layout.
"""

from collections.abc import Sequence

import numpy as np

from src.align.mtcnn_weights import LAYERS, NetworkWeights
from src.common.mxnet_backend import mx

BLOCK = 16  # channels
OUTSIDE = 1e6  # far above any value in the networks

# The last layer of each network computes all outputs at once: (name of the layer, channels).
OUTPUTS: dict[str, tuple[tuple[str, int], ...]] = {
    "pnet": (("conv4-2", 4), ("conv4-1", 2)),
    "rnet": (("conv5-2", 4), ("conv5-1", 2)),
    "onet": (("conv6-2", 4), ("conv6-3", 10), ("conv6-1", 2)),
}
# Of each layer before the last: kernel, channels, and the pooling after it (kernel, whether a
# smaller last window covers the rest; 2018: padding SAME), or None.
HIDDEN: dict[str, tuple[tuple[int, int, tuple[int, bool] | None], ...]] = {
    "pnet": ((3, 10, (2, True)), (3, 16, None), (3, 32, None)),
    "rnet": ((3, 28, (3, True)), (3, 48, (3, False)), (2, 64, None), (3, 128, None)),
    "onet": (
        (3, 32, (3, True)),
        (3, 64, (3, False)),
        (3, 64, (2, True)),
        (2, 128, None),
        (3, 256, None),
    ),
}

# Height and width in pixels. PNet accepts any size of at least its cell.
INPUT_SIZES = {"pnet": 12, "rnet": 24, "onet": 48}


def whole_blocks(channels: int) -> int:
    """The number of channels after filling up the last block."""
    return -(-channels // BLOCK) * BLOCK


def network_symbol(name: str) -> mx.sym.Symbol:
    """A network without the final softmax, for images (N, 3, H, W).

    Its output (N, 16, h, w) has the outputs of `OUTPUTS` one after the other, then zeros; h and w
    are 1 for RNet and ONet. PNet has a second input, `outside` (N, 1, H-2, W-2): 1 in the places
    of the first layer that do not belong to an image, which no pooling window then chooses.
    """
    data = mx.sym.var("data")
    for (layer, activation), (kernel, channels, pool) in zip(
        LAYERS[name], HIDDEN[name], strict=False
    ):
        data = _convolution(data, layer, kernel, channels)
        data = _prelu(data, str(activation), channels)
        if name == "pnet" and layer == "conv1":
            data = data + _convolution(mx.sym.var("outside"), "outside", 1, channels)
        if pool:
            data = _max_pool(data, *pool)
    return _convolution(data, "outputs", 1, sum(count for _, count in OUTPUTS[name]))


def _convolution(data: mx.sym.Symbol, layer: str, kernel: int, channels: int) -> mx.sym.Symbol:
    weights, biases = mx.sym.var(f"{layer}_weights"), mx.sym.var(f"{layer}_biases")
    count = whole_blocks(channels)
    return mx.sym.Convolution(
        data, weights, biases, kernel=(kernel, kernel), num_filter=count, name=layer
    )


def _prelu(data: mx.sym.Symbol, name: str, channels: int) -> mx.sym.Symbol:
    count = whole_blocks(channels)

    def scaled(values: mx.sym.Symbol, part: str) -> mx.sym.Symbol:
        factors = mx.sym.var(f"{name}_{part}")
        return mx.sym.Convolution(
            values,
            factors,
            kernel=(1, 1),
            num_filter=count,
            num_group=count,
            no_bias=True,
            name=f"{name}_{part}_product",
        )

    positive = mx.sym.Activation(data, act_type="relu", name=f"{name}_relu")
    return scaled(data, "slope") + scaled(positive, "rest")


def _max_pool(data: mx.sym.Symbol, kernel: int, keeps_rest: bool) -> mx.sym.Symbol:
    """Stride 2."""
    return mx.sym.Pooling(
        data,
        kernel=(kernel, kernel),
        stride=(2, 2),
        pool_type="max",
        pooling_convention="full" if keeps_rest else "valid",
    )


def network_parameters(name: str, weights: NetworkWeights) -> dict[str, np.ndarray]:
    """The parameters of `network_symbol`, float32, from 2018's weights.

    Raises
    ------
    ValueError
        The weights are not those of this network.
    """
    parameters: dict[str, np.ndarray] = {}
    before, before_filled = 3, 3
    for (layer, activation), (kernel, channels, _) in zip(LAYERS[name], HIDDEN[name], strict=False):
        filled = whole_blocks(channels)
        kernels, biases = _kernels(weights, layer, (kernel, before, channels))
        parameters[f"{layer}_weights"] = _filled(kernels, (filled, before_filled, kernel, kernel))
        parameters[f"{layer}_biases"] = _filled(biases, (filled,))
        slope = _array(weights, str(activation), "alpha", (channels,))
        for part, factor in (("slope", slope), ("rest", 1 - slope)):
            parameters[f"{activation}_{part}"] = _filled(factor, (filled,)).reshape(-1, 1, 1, 1)
        before, before_filled = channels, filled
    if name == "pnet":
        parameters["outside_weights"] = np.full((BLOCK, 1, 1, 1), -OUTSIDE, np.float32)
        parameters["outside_biases"] = np.zeros(BLOCK, np.float32)
    parts = [_kernels(weights, layer, (1, before, count)) for layer, count in OUTPUTS[name]]
    outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
    filled = whole_blocks(len(outputs[1]))
    parameters["outputs_weights"] = _filled(outputs[0], (filled, before_filled, 1, 1))
    parameters["outputs_biases"] = _filled(outputs[1], (filled,))
    return parameters


def _kernels(
    weights: NetworkWeights, layer: str, sizes: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(kernels (out, in, y, x), biases (out,)) of a layer; `sizes` is kernel, in, out."""
    kernel, before, channels = sizes
    values = weights.get(layer, {}).get("weights", np.empty(0))
    if values.ndim == 2:  # a dense layer: (x, y and channel together, out)
        expected: tuple[int, ...] = (kernel * kernel * before, channels)
    else:  # 2018: images have width before height, so kernels are (x, y, in, out)
        expected = (kernel, kernel, before, channels)
    values = _array(weights, layer, "weights", expected)
    kernels = values.reshape(kernel, kernel, before, channels).transpose(3, 2, 1, 0)
    return kernels, _array(weights, layer, "biases", (channels,))


def _array(weights: NetworkWeights, layer: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of a layer; ValueError if it is missing or has another shape."""
    value = weights.get(layer, {}).get(kind)
    if value is None:
        raise ValueError(f"{layer}_{kind} is missing")
    if value.shape != shape:
        raise ValueError(f"{layer}_{kind} has shape {value.shape}, expected {shape}")
    return value


def _filled(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The values in the first places of a larger array of zeros, float32."""
    result = np.zeros(shape, np.float32)
    result[tuple(slice(size) for size in values.shape)] = values
    return result
