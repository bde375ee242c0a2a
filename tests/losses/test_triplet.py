"""The triplet head: loss and gradient against the formula in float64, and no NaN."""

import numpy as np
import pytest

from src.common.mxnet_backend import mx
from src.losses.triplet import Triplet

SIZE = 8
LARGEST = float(np.finfo(np.float32).max)


def literal_triplet_loss(embedding, alpha):
    unit = embedding / np.linalg.norm(embedding, axis=1)[:, None]
    third = len(unit) // 3
    terms = [
        max(0.0, np.sum((a - p) ** 2) - np.sum((a - n) ** 2) + alpha)
        for a, p, n in zip(unit[:third], unit[third : 2 * third], unit[2 * third :], strict=True)
    ]
    return np.mean(terms)


@pytest.mark.parametrize("alpha", [0.05, 0.3, 2.0])
def test_triplet_loss_and_gradient_are_those_of_the_formula(numeric_gradient, alpha):
    rng = np.random.RandomState(2)
    embedding, labels = rng.randn(12, SIZE), rng.randint(0, 4, 12)
    symbol = Triplet(triplet_alpha=alpha).head(mx.sym.var("embedding"))
    arrays = {"embedding": mx.nd.array(embedding), "softmax_label": mx.nd.array(labels)}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, gradients)
    features, same_labels, loss = executor.forward(is_train=True)
    executor.backward()
    np.testing.assert_allclose(features.asnumpy(), embedding, rtol=1e-6)
    np.testing.assert_array_equal(same_labels.asnumpy(), labels)
    assert loss.shape == (1,)
    np.testing.assert_allclose(
        loss.asnumpy()[0], literal_triplet_loss(embedding, alpha), rtol=1e-5, atol=1e-7
    )
    wanted = numeric_gradient(lambda: literal_triplet_loss(embedding, alpha), embedding)
    np.testing.assert_allclose(gradients["embedding"].asnumpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_equal_and_zero_embeddings_give_no_nan(alpha):
    symbol = Triplet(triplet_alpha=alpha).head(mx.sym.var("embedding"))
    row = np.random.RandomState(1).randn(SIZE)
    for sizes in (
        [1, 1, 1],
        [0, 1, 1],
        [1, 0, 0],
        [0, 0, 0],
        [1e25, 1e-25, 1],
        [LARGEST, 1, 1e-45],
    ):
        for sign in (1, -1):
            embedding = np.array(sizes)[:, None] * np.stack([row, row, sign * row]).clip(-1, 1)
            arrays = {"embedding": mx.nd.array(embedding), "softmax_label": mx.nd.zeros(3)}
            gradients = {"embedding": mx.nd.zeros(embedding.shape)}
            executor = symbol.bind(mx.cpu(), arrays, gradients)
            loss = executor.forward(is_train=True)[2].asnumpy()
            executor.backward()
            assert np.isfinite(loss).all()
            assert np.isfinite(gradients["embedding"].asnumpy()).all()
