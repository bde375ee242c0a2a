"""A checkpoint for another image or embedding size names the size and where to change it."""

import pytest

from src.checkpoints.binding import check_parameters
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.losses.base import ClassWeights
from src.losses.softmax import Softmax
from src.symbols.table import build_embedding
from src.training.classifiers import DenseClassifier
from src.training.trainer import Trainer


def parameters(network, length, size):
    """(arg_params, aux_params) of a network with embeddings of a length, for (height, width)."""
    symbol = build_embedding(network, length, version_output="E")
    shapes, _, states = symbol.infer_shape(data=(1, 3, *size))
    arguments = zip(symbol.list_arguments(), shapes, strict=True)
    auxiliary = zip(symbol.list_auxiliary_states(), states, strict=True)
    return (
        {name: mx.nd.zeros(shape) for name, shape in arguments if name != "data"},
        {name: mx.nd.zeros(shape) for name, shape in auxiliary},
    )


def message_of_training(arg_params, aux_params):
    trainer = Trainer(
        build_embedding("m1", 64, version_output="E"),
        DenseClassifier(Softmax().for_classes(3), ClassWeights(3, 64)),
        [mx.cpu()],
    )
    with pytest.raises(InputError) as error:
        trainer.bind(2, (3, 112, 112), mx.init.Zero(), arg_params, aux_params)
    return str(error.value)


@pytest.mark.parametrize("size", [(112, 96), (160, 160)])
def test_another_image_size(size):
    symbol = build_embedding("m1", 64, version_output="E")
    given = parameters("m1", 64, size)
    words = "it was made for images of {}×{}, but these are 112×112".format(*size)
    assert words in message_of_training(*given)
    with pytest.raises(InputError, match=words + " .*property, or --image-size"):
        check_parameters(symbol, *given, (1, 3, 112, 112))


def test_an_unusual_image_size_lists_the_arrays():
    message = message_of_training(*parameters("m1", 64, (80, 80)))
    assert "pre_fc1_weight is" in message
    assert "it was made for" not in message


@pytest.mark.parametrize("length", [32, 128])
def test_another_embedding_size(length):
    message = message_of_training(*parameters("m1", length, (112, 112)))
    assert f"its embeddings have {length} numbers: pass --emb-size {length}" in message
