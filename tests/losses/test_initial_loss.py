"""The loss of an untrained network, against random embeddings."""

import math

import numpy as np
import pytest

from src.losses.arcface import ArcFace
from src.losses.combined import Combined
from src.losses.cosineface import CosineFace
from src.losses.softmax import Softmax
from src.losses.sphereface import SphereFace


def test_a_softmax_starts_at_the_logarithm_of_the_number_of_classes():
    assert Softmax().initial_loss(200, 128) == math.log(200)


@pytest.mark.parametrize(
    ("loss", "own_logit"),
    [
        (CosineFace(margin_m=0.35), lambda s, angle: s * (np.cos(angle) - 0.35)),
        (ArcFace(), lambda s, angle: s * np.cos(angle + 0.5)),
        (
            Combined(margin_s=32.0, margin_m=0.3, margin_b=0.2),
            lambda s, angle: s * (np.cos(angle + 0.3) - 0.2),
        ),
    ],
)
@pytest.mark.parametrize("num_classes", [50, 5000])
@pytest.mark.parametrize("emb_size", [128, 512])
def test_margin_losses_against_random_embeddings(loss, own_logit, num_classes, emb_size):
    random = np.random.RandomState(0)
    embeddings, classes = (random.randn(n, emb_size) for n in (100, num_classes))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    cosines = embeddings @ classes.T
    logits = loss.margin_s * cosines
    logits[:, 0] = own_logit(loss.margin_s, np.arccos(cosines[:, 0]))
    largest = logits.max(axis=1)
    losses = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)) - logits[:, 0]
    expected = loss.initial_loss(num_classes, emb_size)
    assert expected == pytest.approx(losses.mean(), rel=0.1)


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
@pytest.mark.parametrize("beta", [0.0, 5.0, 1000.0])
def test_sphere_loss_against_random_embeddings(margin, beta):
    random = np.random.RandomState(0)
    embeddings, classes = (random.randn(n, 128) for n in (100, 2000))
    lengths = np.linalg.norm(embeddings, axis=1)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    logits = embeddings @ classes.T
    angle = np.arccos(logits[:, 0] / lengths)
    turns = np.floor(angle * margin / np.pi)
    changed = (-1) ** turns * np.cos(margin * angle) - 2 * turns
    logits[:, 0] = (beta * logits[:, 0] + lengths * changed) / (1 + beta)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
    expected = SphereFace(margin=margin, beta=beta).initial_loss(2000, 128)
    assert expected == pytest.approx(losses.mean(), rel=0.1)


def test_a_single_class_has_a_finite_loss():
    assert math.isfinite(ArcFace().initial_loss(1, 128))
