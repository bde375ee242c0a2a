"""The networks against plain NumPy, and the weights from both sources."""

import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest

from src.align.mtcnn_networks import CACHE_SETTING, create_networks
from src.align.mtcnn_weights import LAYERS, NPY_FILES, load_weights
from src.common.errors import InputError


@pytest.fixture(scope="module")
def weights():
    return load_weights()


def write_npy(folder, weights):
    for name, file_name in NPY_FILES.items():
        np.save(folder / file_name, np.array(OrderedDict(weights[name]), dtype=object))
    return str(folder)


# ---------------------------------------------------------------------------------- reference


def convolution(data, weights, biases):
    """(N, H, W, C), valid, one product per kernel position."""
    kernel = weights.shape[0]
    height, width = data.shape[1] - kernel + 1, data.shape[2] - kernel + 1
    result = np.zeros((len(data), height, width, weights.shape[3])) + biases
    for row in range(kernel):
        for column in range(kernel):
            part = data[:, row : row + height, column : column + width]
            result += part @ weights[row, column]
    return result


def prelu(data, alpha):
    return np.where(data > 0, data, alpha * data)


def max_pool(data, kernel, padded):
    size = data.shape[1]
    count = -(-size // 2) if padded else (size - kernel) // 2 + 1
    rows = [data[:, 2 * i : 2 * i + kernel].max(axis=1) for i in range(count)]
    data = np.stack(rows, axis=1)
    columns = [data[:, :, 2 * i : 2 * i + kernel].max(axis=2) for i in range(count)]
    return np.stack(columns, axis=2)


def softmax(data):
    exponential = np.exp(data - data.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def layer(data, weights, name):
    values = weights[name]
    if values["weights"].ndim == 4:
        return convolution(data, values["weights"], values["biases"])
    return data.reshape(len(data), -1) @ values["weights"] + values["biases"]


def oracle(name, weights, data):
    """Outputs as in 2018: data (N, W, H, 3), everything channels last."""
    pools = {
        "pnet": {"conv1": (2, True)},
        "rnet": {"conv1": (3, True), "conv2": (3, False)},
        "onet": {"conv1": (3, True), "conv2": (3, False), "conv3": (2, True)},
    }[name]
    outputs = []
    for layer_name, prelu_name in LAYERS[name]:
        if prelu_name is None:
            outputs.append(layer(data, weights, layer_name))
            continue
        data = prelu(layer(data, weights, layer_name), weights[prelu_name]["alpha"])
        if layer_name in pools:
            data = max_pool(data, *pools[layer_name])
    return [*outputs[:-1], softmax(outputs[-1])]


@pytest.mark.parametrize(
    ("index", "name", "shape"),
    [
        (0, "pnet", (2, 17, 17, 3)),
        (0, "pnet", (1, 12, 12, 3)),
        (1, "rnet", (3, 24, 24, 3)),
        (2, "onet", (2, 48, 48, 3)),
    ],
)
def test_networks_equal_plain_numpy(weights, detector, index, name, shape):
    data = np.random.RandomState(0).uniform(-1, 1, shape)
    outputs = detector.networks[index](data)
    expected = oracle(name, weights[name], data)
    assert len(outputs) == len(expected)
    for output, value in zip(outputs, expected, strict=True):
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, value, atol=2e-5)


def test_shapes_can_change_between_calls(detector):
    shapes = [(1, 30, 20, 3), (1, 13, 60, 3), (4, 30, 20, 3), (1, 30, 20, 3)]
    random = np.random.RandomState(1)
    for shape in shapes:
        data = random.uniform(-1, 1, shape)
        alone = [detector.pnet(row[None])[1][0] for row in data]
        np.testing.assert_allclose(detector.pnet(data)[1], alone, atol=1e-6)


# ---------------------------------------------------------------------------------- weights


def test_a_folder_of_npy_gives_the_same_networks(weights, detector, tmp_path):
    networks = create_networks(model_path=write_npy(tmp_path, weights))
    data = np.random.RandomState(2).uniform(-1, 1, (2, 48, 48, 3))
    for own, other in zip(networks[2](data), detector.onet(data), strict=True):
        np.testing.assert_array_equal(own, other)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 did, where both were `str`."""

    def save_string(self, text):
        content = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)


Python2Pickler.dispatch = {
    **pickle._Pickler.dispatch,
    bytes: Python2Pickler.save_string,
    str: Python2Pickler.save_string,
}


def test_an_npy_that_python_2_wrote_is_read(tmp_path, weights):
    write_npy(tmp_path, weights)
    with open(tmp_path / "det1.npy", "wb") as file:
        header = {"shape": (), "fortran_order": False, "descr": "|O"}
        np.lib.format.write_array_header_1_0(file, header)
        Python2Pickler(file, 2).dump(np.array(OrderedDict(weights["pnet"]), dtype=object))
    loaded = load_weights(str(tmp_path))["pnet"]
    assert loaded.keys() == weights["pnet"].keys()
    for layer, values in weights["pnet"].items():
        for key, value in values.items():
            np.testing.assert_array_equal(loaded[layer][key], value)


def test_missing_npy_names_the_three_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"det1\.npy is missing.*det2\.npy, det3\.npy"):
        load_weights(str(tmp_path))


def test_weights_of_another_network_are_rejected(weights, tmp_path):
    mixed = {**weights, "rnet": weights["onet"]}
    with pytest.raises(
        InputError, match=r"does not contain the weights of rnet: .* has shape .*, expected"
    ):
        create_networks(model_path=write_npy(tmp_path, mixed))


class Harmful:
    """Would create a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_that_runs_code_is_rejected(weights, tmp_path):
    write_npy(tmp_path, weights)
    trace = tmp_path / "trace"
    np.save(tmp_path / "det2.npy", np.array(Harmful(str(trace)), dtype=object))
    with pytest.raises(InputError, match=r"det2\.npy is not a 2018 weight file.*mkdir"):
        load_weights(str(tmp_path))
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no array", pickle.dumps({"conv1": 3})])
def test_other_files_are_rejected(weights, tmp_path, content):
    write_npy(tmp_path, weights)
    (tmp_path / "det1.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"det1\.npy is not a 2018 weight file"):
        load_weights(str(tmp_path))
    np.save(tmp_path / "det1.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"det1\.npy is not a 2018 weight file"):
        load_weights(str(tmp_path))


def test_a_header_that_breaks_the_tokenizer_is_rejected(weights, tmp_path, shared):
    write_npy(tmp_path, weights)
    damaged = (shared / "cases" / "hostile" / "det1_tokenerror.npy").read_bytes()
    headers = [damaged, damaged.replace(damaged[10:14], b"((((", 1), damaged[:40]]
    for content in headers:
        (tmp_path / "det3.npy").write_bytes(content)
        with pytest.raises(InputError, match=r"det3\.npy is not a 2018 weight file"):
            load_weights(str(tmp_path))


@pytest.mark.parametrize(("own", "expected"), [(None, "256"), ("7", "7")])
def test_the_memory_for_input_shapes_is_limited_before_the_first_operator(own, expected):
    """In a process of its own, because MXNet reads the setting once; a user's value is kept."""
    environment = {key: value for key, value in os.environ.items() if key != CACHE_SETTING}
    if own:
        environment[CACHE_SETTING] = own
    program = (
        "import os; from src.align.mtcnn_networks import CACHE_SETTING, create_networks; "
        "create_networks(); print(os.environ[CACHE_SETTING])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
