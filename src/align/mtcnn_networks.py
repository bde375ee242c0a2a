"""The three networks of the MTCNN face detector, ready to be called.

Each graph always runs on arrays of one shape: a fixed number of crops, or canvases of one size on
which images are packed. So its memory is allocated once, however different the photos are, and the
result for an image does not depend on the others that are computed with it.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from src.align.mosaics import STRIDE, Tile, cells, pack
from src.align.mtcnn_graphs import INPUT_SIZES, OUTPUTS, network_parameters, network_symbol
from src.align.mtcnn_weights import NetworkWeights, load_weights
from src.common.errors import InputError
from src.common.mxnet_backend import mx

# The fastest on one core: more do not fit into its cache.
CROPS = {"rnet": 32, "onet": 8}
CANVAS = 128  # pixels, height and width of PNet's input

Maps = tuple[np.ndarray, np.ndarray]
"""PNet's offsets (h, w, 4) and probability of a face (h, w) for one image."""


class _Graph:
    """A network's graph and parameters on a device, for inputs of fixed shapes."""

    def __init__(self, name: str, weights: NetworkWeights, context: mx.Context) -> None:
        symbol = network_symbol(name)
        if context.device_type == "cpu":
            symbol = symbol.optimize_for("MKLDNN")  # oneDNN fuses layers
        fixed = [("static_alloc", "true"), ("static_shape", "true")]
        self._operator = mx.nd.CachedOp(symbol, fixed)
        self._names = symbol.list_inputs()
        self._context = context
        parameters = network_parameters(name, weights)
        self._inputs = {key: mx.nd.array(v, ctx=context) for key, v in parameters.items()}

    def run(self, **inputs: np.ndarray) -> np.ndarray:
        """The output (N, 16, h, w) for arrays by the names of the graph's inputs."""
        given = {key: mx.nd.array(value, ctx=self._context) for key, value in inputs.items()}
        arrays = {**self._inputs, **given}
        output: np.ndarray = self._operator(*(arrays[key] for key in self._names)).asnumpy()
        return output


class CropNetwork:
    """RNet or ONet.

    The call takes crops (N, W, H, 3), width before height as in 2018, scaled to -1..1, and returns
    a tuple of float32 arrays with N rows: offsets, landmarks (ONet only), probability.

    Parameters
    ----------
    name
        'rnet' or 'onet'.
    weights
        Of this network, as from `load_weights`.

    Raises
    ------
    ValueError
        The weights are not those of this network.
    """

    def __init__(self, name: str, weights: NetworkWeights, context: mx.Context) -> None:
        self._graph = _Graph(name, weights, context)
        self._counts = [count for _, count in OUTPUTS[name]]
        side = INPUT_SIZES[name]
        self._crops = np.zeros((CROPS[name], 3, side, side), np.float32)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs; see the class."""
        size = len(self._crops)
        rows = [np.empty((0, sum(self._counts)), np.float32)]
        for start in range(0, len(images), size):
            part = images[start : start + size].transpose(0, 3, 2, 1)
            self._crops[: len(part)] = part
            output = self._graph.run(data=self._crops)
            rows.append(output[: len(part), : sum(self._counts), 0, 0])
        *outputs, logits = np.split(np.concatenate(rows), np.cumsum(self._counts)[:-1], axis=1)
        return *outputs, _softmax(logits, axis=1)


class ProposalNetwork:
    """PNet.

    The call takes images (N, W, H, 3), width before height as in 2018, scaled to -1..1, of any size
    of at least 12, and returns offsets (N, w, h, 4) and probability (N, w, h, 2), float32.

    Raises
    ------
    ValueError
        The weights are not those of PNet.
    """

    def __init__(self, weights: NetworkWeights, context: mx.Context) -> None:
        self._graph = _Graph("pnet", weights, context)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The outputs; see the class."""
        offsets, probability = zip(
            *self.maps([image.transpose(1, 0, 2) for image in images]), strict=True
        )
        face = np.stack(probability).transpose(0, 2, 1)
        return np.stack(offsets).transpose(0, 2, 1, 3), np.stack([1 - face, face], axis=3)

    def maps(self, images: Sequence[np.ndarray]) -> list[Maps]:
        """The outputs for images (H, W, 3) of different sizes, scaled to -1..1."""
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        offsets = [np.empty((cells(h), cells(w), 4), np.float32) for h, w in sizes]
        faces = [np.empty((cells(h), cells(w)), np.float32) for h, w in sizes]
        tiles, count = pack(sizes, CANVAS)
        for canvas in range(count):
            on_canvas = [tile for tile in tiles if tile.canvas == canvas]
            output = self._run(images, on_canvas)
            boxes, probability = output[:4].transpose(1, 2, 0), _softmax(output[4:6], axis=0)[1]
            for tile in on_canvas:
                size = cells(tile.height), cells(tile.width)
                there = _area(tile.y // STRIDE, tile.x // STRIDE, size)
                here = _area(tile.top // STRIDE, tile.left // STRIDE, size)
                offsets[tile.image][here] = boxes[there]
                faces[tile.image][here] = probability[there]
        return list(zip(offsets, faces, strict=True))

    def _run(self, images: Sequence[np.ndarray], tiles: Sequence[Tile]) -> np.ndarray:
        """PNet's output (16, h, w) for one canvas."""
        canvas = np.zeros((CANVAS, CANVAS, 3), np.float32)
        outside = np.ones((CANVAS - 2, CANVAS - 2), np.float32)
        for tile in tiles:
            height, width = tile.height, tile.width
            part = images[tile.image][_area(tile.top, tile.left, (height, width))]
            canvas[_area(tile.y, tile.x, (height, width))] = part
            outside[_area(tile.y, tile.x, (height - 2, width - 2))] = 0
        data = canvas.transpose(2, 0, 1)
        return self._graph.run(data=data[None], outside=outside[None, None])[0]


def _area(top: int, left: int, size: tuple[int, int]) -> tuple[slice, slice]:
    return slice(top, top + size[0]), slice(left, left + size[1])


def _softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=axis, keepdims=True)
    return result


def create_networks(
    context: mx.Context | None = None, model_path: str | None = None
) -> tuple[ProposalNetwork, CropNetwork, CropNetwork]:
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
    weights = load_weights(model_path)
    device = context or mx.cpu()
    with _naming(model_path, "pnet"):
        pnet = ProposalNetwork(weights["pnet"], device)
    with _naming(model_path, "rnet"):
        rnet = CropNetwork("rnet", weights["rnet"], device)
    with _naming(model_path, "onet"):
        onet = CropNetwork("onet", weights["onet"], device)
    return pnet, rnet, onet


@contextlib.contextmanager
def _naming(model_path: str | None, name: str) -> Iterator[None]:
    """Turns a ValueError into one that says whose weights are wrong."""
    try:
        yield
    except ValueError as error:
        origin = model_path or "the package mtcnn"
        raise InputError(f"{origin} does not contain the weights of {name}: {error}") from None
