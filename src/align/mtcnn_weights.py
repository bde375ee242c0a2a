"""The weights of the face detector, from the package `mtcnn` or from 2018's det1-3.npy."""

import importlib.util
import os
from collections.abc import Iterator

import joblib
import numpy as np

from src.common.errors import InputError
from src.formats.plain_pickle import PICKLE_ERRORS, load_plain, unwrap_array

NetworkWeights = dict[str, dict[str, np.ndarray]]
"""Arrays of one network by layer, then by kind: 'weights' and 'biases', or 'alpha' of a PReLU."""

# The layers that have weights, in the order of the package `mtcnn`: (name, name of its PReLU).
LAYERS: dict[str, list[tuple[str, str | None]]] = {
    "pnet": [
        ("conv1", "PReLU1"),
        ("conv2", "PReLU2"),
        ("conv3", "PReLU3"),
        ("conv4-2", None),
        ("conv4-1", None),
    ],
    "rnet": [
        ("conv1", "prelu1"),
        ("conv2", "prelu2"),
        ("conv3", "prelu3"),
        ("conv4", "prelu4"),
        ("conv5-2", None),
        ("conv5-1", None),
    ],
    "onet": [
        ("conv1", "prelu1"),
        ("conv2", "prelu2"),
        ("conv3", "prelu3"),
        ("conv4", "prelu4"),
        ("conv5", "prelu5"),
        ("conv6-2", None),
        ("conv6-3", None),
        ("conv6-1", None),
    ],
}
NPY_FILES = {"pnet": "det1.npy", "rnet": "det2.npy", "onet": "det3.npy"}


def load_weights(model_path: str | None = None) -> dict[str, NetworkWeights]:
    """Weights of 'pnet', 'rnet' and 'onet' in the layout of the 2018 files, float32.

    Convolution kernels are (kernel x, kernel y, in, out), because 2018's input has width before
    height.

    Parameters
    ----------
    model_path
        Folder with det1.npy, det2.npy, det3.npy. None uses the weights of the package `mtcnn`,
        which are the same numbers.

    Raises
    ------
    FileNotFoundError, InputError
        A file is missing or not a weight file.
    """
    return _read_npy_folder(model_path) if model_path else _read_package()


def _read_package() -> dict[str, NetworkWeights]:
    # Found, not imported: its modules import TensorFlow.
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the weights of the face detector are missing: pip install mtcnn==1.0.0 lz4, "
            "or pass --det-model, a folder with det1.npy, det2.npy, det3.npy"
        )
    folder = os.path.join(spec.submodule_search_locations[0], "assets", "weights")
    weights: dict[str, NetworkWeights] = {}
    for name, layers in LAYERS.items():
        path = os.path.join(folder, f"{name}.lz4")
        if not os.path.exists(path):
            raise InputError(f"{path} is missing: pip install mtcnn==1.0.0")
        arrays: Iterator[np.ndarray] = iter(joblib.load(path))
        weights[name] = {}
        for layer, prelu in layers:
            kernel = next(arrays)
            if kernel.ndim == 4:
                # The input of that package has height before width.
                kernel = kernel.transpose(1, 0, 2, 3)
            weights[name][layer] = {"weights": kernel, "biases": next(arrays)}
            if prelu:
                weights[name][prelu] = {"alpha": next(arrays).reshape(-1)}
    return weights


def _read_npy_folder(folder: str) -> dict[str, NetworkWeights]:
    weights = {}
    for name, file_name in NPY_FILES.items():
        path = os.path.join(os.path.expanduser(folder), file_name)
        if not os.path.exists(path):
            names = ", ".join(NPY_FILES.values())
            raise FileNotFoundError(f"{path} is missing: expected a folder with {names}")
        weights[name] = _read_npy(path)
    return weights


def _read_npy(path: str) -> NetworkWeights:
    """The arrays of a 2018 weight file, an .npy that contains one pickled dict."""
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            try:
                shape, _, dtype = read_header(file)
            except Exception as error:  # of Python's tokenizer and parser, which NumPy calls
                raise ValueError(f"its header is damaged ({type(error).__name__})") from None
            if dtype.kind != "O" or shape != ():
                raise ValueError(f"an array of {dtype}")
            content = unwrap_array(load_plain(file, encoding="latin1"))
        # numpy.save pickles an array of shape () whose element is the dict.
        layers = content.item() if isinstance(content, np.ndarray) else content
        return {
            layer: {
                key: np.asarray(unwrap_array(value), dtype=np.float32)
                for key, value in values.items()
            }
            for layer, values in layers.items()
        }
    except PICKLE_ERRORS as error:
        raise InputError(f"{path} is not a 2018 weight file of the detector: {error}") from None
