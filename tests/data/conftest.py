"""Small data sets and photos, and a model whose embedding is the mean colour."""

import cv2
import numpy as np
import pytest

from src.checkpoints.files import save_checkpoint
from src.common.mxnet_backend import mx
from src.formats.face_records import FaceRecordWriter
from src.formats.property import write_property

SIZE = (16, 16)


def encoded(colour, size=SIZE, ending=".png"):
    """Bytes of an image of one RGB colour, `size` (height, width)."""
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = np.asarray(colour)[::-1]
    return cv2.imencode(ending, picture)[1].tobytes()


@pytest.fixture
def make_picture():
    """Callable: see `encoded`."""
    return encoded


@pytest.fixture
def make_set(tmp_path):
    """Callable that writes a data set with an identity per colour; returns its folder."""

    def make(name, colours, images=2, size=SIZE):
        folder = tmp_path / name
        folder.mkdir()
        with FaceRecordWriter(folder / "train.rec") as writer:
            for label, colour in enumerate(colours):
                for _ in range(images):
                    writer.add_image([label, 1], encoded(colour, size))
        write_property(str(folder / "property"), len(colours), size)
        return str(folder)

    return make


@pytest.fixture
def colour_model(tmp_path):
    """'prefix,epoch' of a model whose embedding is the mean colour minus 128."""
    pixels = SIZE[0] * SIZE[1]
    weight = np.zeros((3, 3, pixels), np.float32)
    for channel in range(3):
        weight[channel, channel] = 1 / pixels
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc1")
    parameters = {
        "fc1_weight": mx.nd.array(weight.reshape(3, -1)),
        "fc1_bias": mx.nd.array(np.full(3, -128)),
    }
    save_checkpoint(str(tmp_path / "colour"), 0, symbol, parameters, {})
    return f"{tmp_path / 'colour'},0"
