"""Embeddings against a simple loop, with the same images in a batch as in 2018."""

import numpy as np
import pytest

from src.checkpoints.embedding import embed
from src.common.errors import InputError
from src.common.mxnet_backend import mx


class CompanionModule:
    """Like a GNAP model: an embedding is divided by the mean over its batch."""

    def __init__(self):
        self.batches = []

    def forward(self, batch, is_train):
        assert is_train is False
        self.batches.append(batch)
        images = batch.data[0].asnumpy()
        assert images.dtype == np.float32
        self.outputs = [mx.nd.array(images.mean(axis=(2, 3)) / images.mean()), mx.nd.ones(3)]

    def get_outputs(self):
        return self.outputs


def plain_embeddings(images, batch_size):
    """2018's batches, image by image; fewer images than a batch are repeated to fill it."""
    images = np.asarray(images, np.float32)
    rows = []
    for index in range(len(images)):
        end = min((index // batch_size + 1) * batch_size, len(images))
        batch = [images[i % len(images)] for i in range(end - batch_size, end)]
        rows.append(images[index].mean(axis=(1, 2)) / np.mean(batch))
    return np.array(rows)


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (7, 3), (6, 3), (2, 5), (3, 3), (5, 1)])
@pytest.mark.parametrize("kind", ["uint8", "float64", "mirrored", "NDArray", "NDArray uint8"])
def test_every_image_shares_its_batch_with_the_same_images_as_in_2018(count, batch_size, kind):
    images = np.random.RandomState(count).randint(0, 256, (count, 3, 4, 5)).astype(np.uint8)
    given = {
        "uint8": images,
        "float64": images.astype(float),
        "mirrored": images[:, :, :, ::-1],
        "NDArray": mx.nd.array(images),
        "NDArray uint8": mx.nd.array(images, dtype=np.uint8),
    }[kind]
    embeddings = embed(CompanionModule(), given, batch_size)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, plain_embeddings(images, batch_size), rtol=1e-5)


def test_labels_and_the_second_input_reach_the_module():
    module = CompanionModule()
    images = np.ones((4, 3, 2, 2))
    embed(module, images, 2, data_extra=np.full((2, 5), 7.0), label_shape=(2, 3))
    for batch in module.batches:
        assert batch.label[0].shape == (2, 3)
        np.testing.assert_array_equal(batch.data[1].asnumpy(), np.full((2, 5), 7))
    module = CompanionModule()
    embed(module, images, 2)
    assert module.batches[0].label[0].shape == (2,)
    assert len(module.batches[0].data) == 1


def test_a_training_module_works_too():
    embedding = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc1")
    loss = mx.sym.SoftmaxOutput(embedding, name="softmax")
    module = mx.mod.Module(mx.sym.Group([mx.sym.BlockGrad(embedding), loss]))
    module.bind([("data", (4, 3, 2, 2))], [("softmax_label", (4,))])
    weight = np.random.RandomState(0).uniform(-1, 1, (2, 12))
    module.init_params(arg_params={"fc1_weight": mx.nd.array(weight), "fc1_bias": mx.nd.zeros(2)})
    images = np.random.RandomState(1).randint(0, 256, (6, 3, 2, 2)).astype(np.uint8)
    expected = images.reshape(6, 12) @ weight.T
    np.testing.assert_allclose(embed(module, images, 4), expected, rtol=1e-5, atol=1e-3)


def test_no_images():
    with pytest.raises(InputError, match="no images"):
        embed(CompanionModule(), np.zeros((0, 3, 2, 2)), 2)
