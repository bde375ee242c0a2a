"""The networks against plain NumPy, and the weights from both sources."""

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from src.align.mtcnn_graphs import INPUT_SIZES, network_parameters, network_symbol
from src.align.mtcnn_networks import create_networks
from src.align.mtcnn_weights import LAYERS, NPY_FILES, load_weights
from src.common.errors import InputError
from src.common.mxnet_backend import mx


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
    def count(size):
        return -(-size // 2) if padded else (size - kernel) // 2 + 1

    rows = [data[:, 2 * i : 2 * i + kernel].max(axis=1) for i in range(count(data.shape[1]))]
    data = np.stack(rows, axis=1)
    columns = [data[:, :, 2 * i : 2 * i + kernel].max(axis=2) for i in range(count(data.shape[2]))]
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


@pytest.mark.parametrize(("index", "name"), [(1, "rnet"), (2, "onet")])
def test_the_graph_of_a_gpu_gives_the_same(weights, detector, index, name):
    """It is the same one, without layers fused by oneDNN."""
    symbol, parameters = network_symbol(name), network_parameters(name, weights[name])
    side = INPUT_SIZES[name]
    crops = np.random.RandomState(4).uniform(-1, 1, (5, 3, side, side)).astype(np.float32)
    inputs = [mx.nd.array({"data": crops, **parameters}[key]) for key in symbol.list_inputs()]
    output = mx.nd.CachedOp(symbol)(*inputs).asnumpy()[:, :, 0, 0]
    outputs = detector.networks[index](crops.transpose(0, 3, 2, 1))
    np.testing.assert_allclose(output[:, :4], outputs[0], atol=2e-6)
    logits = output[:, -2:] if name == "onet" else output[:, 4:6]
    np.testing.assert_allclose(softmax(logits), outputs[-1], atol=2e-6)


@pytest.mark.parametrize("index", [1, 2])
def test_the_outputs_for_a_crop_do_not_depend_on_the_others(detector, index):
    side = {1: 24, 2: 48}[index]
    crops = np.random.RandomState(1).uniform(-1, 1, (45, side, side, 3)).astype(np.float32)
    network = detector.networks[index]
    together = network(crops)
    assert [len(output) for output in network(crops[:0])] == [0] * len(together)
    for chosen in ([7], [44, 0, 3], range(20, 40)):
        for output, expected in zip(network(crops[list(chosen)]), together, strict=True):
            np.testing.assert_array_equal(output, expected[list(chosen)])


def test_the_maps_of_an_image_do_not_depend_on_the_others(detector, weights):
    random = np.random.RandomState(2)
    sizes = [*random.randint(12, 70, (40, 2)), (300, 131), (12, 129), (128, 128)]
    images = [random.uniform(-1, 1, (*size, 3)).astype(np.float32) for size in sizes]
    together = detector.pnet.maps(images)
    for image, (offsets, probability) in zip(images, together, strict=True):
        (alone,) = detector.pnet.maps([image])
        np.testing.assert_array_equal(offsets, alone[0])
        np.testing.assert_array_equal(probability, alone[1])
        as_in_2018 = oracle("pnet", weights["pnet"], image[None].transpose(0, 2, 1, 3))
        np.testing.assert_allclose(offsets, as_in_2018[0][0].transpose(1, 0, 2), atol=2e-5)
        np.testing.assert_allclose(probability, as_in_2018[1][0, :, :, 1].T, atol=2e-5)
    assert detector.pnet.maps([]) == []


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
