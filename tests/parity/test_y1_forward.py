"""The published MobileFaceNet's embeddings against those of 2018 (reference/y1_forward.npz)."""

import numpy as np
import pytest

from src.checkpoints.binding import bind_embedding
from src.checkpoints.embedding import embed
from src.checkpoints.files import load_checkpoint
from src.common.mxnet_backend import mx
from src.eval.pairs import embed_pairs


@pytest.fixture(scope="module")
def reference(shared):
    return np.load(shared / "reference" / "y1_forward.npz")


@pytest.fixture(scope="module")
def images(reference):
    return reference["images_rgb_uint8"].transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def checkpoint(shared):
    return load_checkpoint(shared / "pretrained" / "model-y1-test2" / "model", 0)


@pytest.mark.parametrize(
    ("batch_size", "name"), [(1, "emb_batch1"), (20, "emb_batch20"), (8, "emb_batch20")]
)
def test_embeddings(checkpoint, reference, images, batch_size, name):
    """GDC embeddings do not depend on the batch size; with 8, the last batch overlaps."""
    module = bind_embedding(*checkpoint, mx.cpu(), batch_size, (112, 112))
    for given in (images, mx.nd.array(images), images):
        np.testing.assert_allclose(
            embed(module, given, batch_size), reference[name], rtol=0, atol=1e-5
        )


def test_a_module_bound_as_in_2018(checkpoint, reference, images):
    """MXNet's default settings, bound for inference: the second forward used to crash."""
    symbol, arg_params, aux_params = checkpoint
    module = mx.mod.Module(symbol.get_internals()["fc1_output"], context=mx.cpu(), label_names=None)
    module.bind(data_shapes=[("data", (20, 3, 112, 112))], for_training=False)
    module.set_params(arg_params, aux_params, allow_extra=True)
    data_set = [mx.nd.array(images), mx.nd.array(images[:, :, :, ::-1])], [True] * 10
    for _ in range(2):
        embeddings, _ = embed_pairs(data_set, module, 20)
        np.testing.assert_allclose(embeddings, reference["emb_batch20"], rtol=0, atol=1e-5)
