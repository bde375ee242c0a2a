"""Heads: forward and gradient against the papers' formulas in float64."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.mxnet_backend import mx
from src.losses.sphereface import BETA

BATCH, SIZE, CLASSES, SCALE = 6, 8, 11, 64.0

MARGINS = {
    "softmax": {"loss_type": 0},
    "softmax without bias": {"loss_type": 0, "fc7_no_bias": True},
    "cosine": {"loss_type": 2, "margin_m": 0.35},
    "arc": {"loss_type": 4, "margin_m": 0.5},
    "arc, easy": {"loss_type": 4, "margin_m": 0.5, "easy_margin": True},
    "arc without margin": {"loss_type": 4, "margin_m": 0.0},
    "combined": {"loss_type": 5, "margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
    "combined as arc": {"loss_type": 5, "margin_m": 0.5},
    "combined as cosine": {"loss_type": 5, "margin_m": 0.0, "margin_b": 0.35},
    "combined as none": {"loss_type": 5, "margin_m": 0.0},
    "combined as sphere": {"loss_type": 5, "margin_a": 1.35, "margin_m": 0.0},
    "combined, m and b": {"loss_type": 5, "margin_m": 0.3, "margin_b": 0.2},
    "combined, a and b": {"loss_type": 5, "margin_a": 0.8, "margin_m": 0.0, "margin_b": 0.1},
    **{
        f"sphere {margin}, beta {beta}": {"loss_type": 1, "margin": margin, "beta": beta}
        for margin, beta in (
            (1, 5.0),
            (2, 0.0),
            (2, 5.0),
            (3, 5.0),
            (4, 0.0),
            (4, 5.0),
            (4, 1000.0),
        )
    },
}
FORMS = {"saved": False, "trained": True}


def literal_margin(cosine, loss_type, margin_m=0.5, margin_a=1.0, margin_b=0.0, easy_margin=False):
    """The target's cosine with its margin, as the papers write it."""
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if loss_type == 2:
        return cosine - margin_m
    if loss_type == 5:
        return np.cos(margin_a * angle + margin_m) - margin_b
    if easy_margin:
        return np.cos(angle + margin_m) if cosine > 0 else cosine
    if angle + margin_m < np.pi:
        return np.cos(angle + margin_m)
    return cosine - margin_m * np.sin(np.pi - margin_m)


def literal_sphere(length, cosine, margin, beta):
    """The target's logit in SphereFace: the equation of L-Softmax, annealed."""
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    turns = min(int(angle * margin / np.pi), margin - 1)
    changed = (-1) ** turns * np.cos(margin * angle) - 2 * turns
    return (beta * length * cosine + length * changed) / (1 + beta)


def literal_probabilities(embedding, weight, bias, labels, loss_type, **margins):
    """Row by row, in float64."""
    margins.pop("fc7_no_bias", None)
    result = np.empty((len(embedding), len(weight)))
    for row, (vector, label) in enumerate(zip(embedding, labels, strict=True)):
        length = np.linalg.norm(vector)
        cosines = weight @ vector / length / np.linalg.norm(weight, axis=1)
        if loss_type == 0:
            logits = weight @ vector + bias
        elif loss_type == 1:
            logits = length * cosines
            logits[label] = literal_sphere(length, cosines[label], **margins)
        else:
            cosines[label] = literal_margin(cosines[label], loss_type, **margins)
            logits = SCALE * cosines
        exponentials = np.exp(logits - logits.max())
        result[row] = exponentials / exponentials.sum()
    return result


def literal_loss(embedding, weight, bias, labels, **flags):
    """Mean cross entropy of the batch."""
    probabilities = literal_probabilities(embedding, weight, bias, labels, **flags)
    return -np.mean(np.log(probabilities[np.arange(len(labels)), labels]))


def head_executor(build_head, flags, embedding, weight, labels, bias, form="trained"):
    symbol = build_head(flags, len(weight), SIZE, FORMS[form])
    values = {"embedding": embedding, "fc7_weight": weight, "softmax_label": labels}
    values["fc7_bias"] = bias
    values[BETA] = np.full(len(labels), flags.get("beta", 0.0))
    arrays = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arrays.items() if name != BETA}
    executor = symbol.bind(mx.cpu(), arrays, gradients)
    executor.forward(is_train=True)
    executor.backward()
    return executor


@pytest.fixture(scope="session")
def make_executor(make_head):
    """`head_executor`."""
    return functools.partial(head_executor, make_head)


def gradients_of(executor):
    """Gradients by name, without beta, an input that has none."""
    return {name: array for name, array in executor.grad_dict.items() if array is not None}


def batch(seed, turn=0.0):
    """Embeddings, class vectors, labels, bias; `turn` moves class vectors towards embeddings."""
    rng = np.random.RandomState(seed)
    embedding, weight = rng.randn(BATCH, SIZE), rng.randn(CLASSES, SIZE)
    labels = np.arange(BATCH) * 2 % CLASSES
    weight[labels] = (1 - abs(turn)) * weight[labels] + turn * embedding
    return embedding, weight, labels, rng.randn(CLASSES) * 0.1


# Angles to the target near 90°, small, and above π - m.
@pytest.mark.parametrize("turn", [0.0, 0.7, -0.85], ids=["far", "near", "opposite"])
@pytest.mark.parametrize("name", MARGINS)
def test_probabilities_and_gradients_are_those_of_the_formula(
    make_executor, numeric_gradient, name, turn
):
    flags = MARGINS[name]
    embedding, weight, labels, bias = batch(3, turn)
    used_bias = bias * 0 if flags.get("fc7_no_bias") else bias
    expected = literal_probabilities(embedding, weight, used_bias, labels, **flags)
    given = {"embedding": embedding, "fc7_weight": weight, "fc7_bias": used_bias}
    wanted = {
        key: numeric_gradient(
            lambda: literal_loss(embedding, weight, used_bias, labels, **flags), array
        )
        for key, array in given.items()
    }
    for form in FORMS:
        executor = make_executor(flags, embedding, weight, labels, bias, form)
        features, probabilities = (output.asnumpy() for output in executor.outputs)
        np.testing.assert_allclose(features, embedding, rtol=1e-6)
        np.testing.assert_allclose(probabilities, expected, atol=2e-5)
        got = {key: array.asnumpy() for key, array in gradients_of(executor).items()}
        assert not got.pop("softmax_label").any()
        assert ("fc7_bias" in got) == (name == "softmax")
        for key, gradient in got.items():
            tolerance = 1e-4 * max(1.0, np.abs(wanted[key]).max())
            np.testing.assert_allclose(gradient, wanted[key], atol=tolerance, err_msg=form)


def turned(weight, embedding, labels, angle, seed):
    """`weight` with the class vectors of `labels` at `angle` to their embeddings."""
    side = np.random.RandomState(seed).randn(*embedding.shape)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    side -= np.sum(side * unit, axis=1, keepdims=True) * unit
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    weight = weight.copy()
    weight[labels] = 1.7 * (np.cos(angle) * unit + np.sin(angle) * side)
    return weight


ENDS = [0.0, 1e-4, 1e-3, np.pi - 1e-3, np.pi - 1e-4, np.pi]
BORDERS = [np.pi / 4, np.pi / 3, np.pi / 2, 2 * np.pi / 3, 3 * np.pi / 4, np.pi - 0.5]


@pytest.mark.parametrize("name", [name for name in MARGINS if "softmax" not in name])
def test_probabilities_at_the_ends_and_at_the_borders_of_segments(make_executor, name):
    """Exact up to the rounding of the cosine: by 1e-7, or 0.03° for an angle near 0."""
    flags = MARGINS[name]
    embedding, weight, labels, bias = batch(11)
    for angle in ENDS + BORDERS:
        if flags.get("easy_margin") and angle == np.pi / 2:
            continue  # the easy margin jumps there
        toward = turned(weight, embedding, labels, angle, seed=1)
        executor = make_executor(flags, embedding, toward, labels, bias)
        got = executor.outputs[1].asnumpy()
        expected = literal_probabilities(embedding, toward, bias, labels, **flags)
        # s·sin(m)·(error of the sine, up to 5e-4 if the cosine is rounded to 1)
        tolerance = 2e-2 if angle in ENDS else 1e-4
        np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=f"{name} at {angle}")
        for gradient in gradients_of(executor).values():
            assert np.isfinite(gradient.asnumpy()).all()


@pytest.mark.parametrize("name", [name for name in MARGINS if "softmax" not in name])
@pytest.mark.parametrize("angle", [0.03, np.pi - 0.03])
def test_gradients_near_the_ends_are_those_of_the_formula(
    make_executor, numeric_gradient, name, angle
):
    flags = MARGINS[name]
    embedding, weight, labels, bias = batch(5)
    weight = turned(weight, embedding, labels, angle, seed=2)
    executor = make_executor(flags, embedding, weight, labels, bias)
    for key, array in (("embedding", embedding), ("fc7_weight", weight)):
        wanted = numeric_gradient(
            lambda: literal_loss(embedding, weight, bias, labels, **flags), array
        )
        got = executor.grad_dict[key].asnumpy()
        # The error of the sine, 1e-7 / sin, is scaled like the gradient.
        tolerance = 2e-4 * max(1.0, np.abs(wanted).max()) + 1e-6 * SCALE / np.sin(angle)
        np.testing.assert_allclose(got, wanted, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in MARGINS if "softmax" not in name])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["angle 0", "angle 180"])
def test_gradients_are_finite_along_and_opposite_to_the_class_vector(make_executor, name, sign):
    embedding, weight, labels, bias = batch(7)
    weight[labels] = sign * embedding
    embedding[-1] = 0.0  # no direction at all
    weight[-1] = 0.0
    executor = make_executor(MARGINS[name], embedding, weight, labels, bias)
    for output in executor.outputs:
        assert np.isfinite(output.asnumpy()).all()
    for gradient in gradients_of(executor).values():
        assert np.isfinite(gradient.asnumpy()).all()


LARGEST = float(np.finfo(np.float32).max)
MAGNITUDES = st.sampled_from(
    [0.0, 1e-45, 1e-38, 1e-25, 1e-15, 1e-5, 1.0, 1e5, 1e15, 1e19, 1e25, 1e35, LARGEST]
)


@pytest.fixture(scope="module")
def executors(make_executor):
    embedding, weight, labels, bias = batch(1)
    return {
        name: make_executor(flags, embedding, weight, labels, bias)
        for name, flags in MARGINS.items()
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(MAGNITUDES, min_size=BATCH, max_size=BATCH),
    st.lists(MAGNITUDES, min_size=CLASSES, max_size=CLASSES),
    st.integers(0, 2**31 - 1),
    st.booleans(),
)
def test_no_finite_input_gives_nan(executors, lengths, class_lengths, seed, along):
    rng = np.random.RandomState(seed)
    embedding, weight = rng.uniform(-1, 1, (BATCH, SIZE)), rng.uniform(-1, 1, (CLASSES, SIZE))
    labels = rng.randint(0, CLASSES, BATCH)
    if along:
        weight[labels] = embedding * rng.choice([-1, 1])
    embedding *= np.array(lengths)[:, None]
    weight *= np.array(class_lengths)[:, None]
    for name, executor in executors.items():
        # Without normalisation, the logits of a softmax can overflow float32.
        limit = 1e18 if MARGINS[name]["loss_type"] == 0 else LARGEST
        executor.arg_dict["embedding"][:] = np.clip(embedding, -limit, limit)
        executor.arg_dict["fc7_weight"][:] = np.clip(weight, -limit, limit)
        executor.arg_dict["softmax_label"][:] = labels
        executor.forward(is_train=True)
        executor.backward()
        assert not np.isnan(executor.outputs[1].asnumpy()).any(), name
        for key, gradient in gradients_of(executor).items():
            assert not np.isnan(gradient.asnumpy()).any(), (name, key)


def test_sphereface_has_no_margin_outside_training(make_executor):
    embedding, weight, labels, bias = batch(3)
    for form in FORMS:
        flags = {"loss_type": 1, "margin": 4, "beta": 0.0}
        executor = make_executor(flags, embedding, weight, labels, bias, form)
        trained = executor.outputs[1].asnumpy()
        plain = executor.forward(is_train=False)[1].asnumpy()
        expected = literal_probabilities(embedding, weight, bias, labels, 1, margin=1, beta=0.0)
        np.testing.assert_allclose(plain, expected, atol=1e-6)
        own = np.arange(BATCH), labels
        assert (plain[own] > trained[own] + 1e-3).all()


def test_beta_is_an_input_of_the_trained_graph_only(make_executor, make_head):
    flags = {"loss_type": 1, "beta": 200.0}
    symbol = make_head(flags, CLASSES, SIZE)
    assert symbol.list_arguments() == ["embedding", "fc7_weight", "softmax_label"]
    assert '"value": "200.0"' in symbol.tojson()
    trained = make_head(flags, CLASSES, SIZE, trained=True)
    assert set(trained.list_arguments()) == {*symbol.list_arguments(), BETA}
    assert trained.list_outputs() == symbol.list_outputs()
    embedding, weight, labels, bias = batch(3)
    executor = make_executor({"loss_type": 1, "beta": 0.0}, embedding, weight, labels, bias)
    for beta in (0.0, 7.0, 300.0):
        executor.arg_dict[BETA][:] = beta
        got = executor.forward(is_train=True)[1].asnumpy()
        expected = literal_probabilities(embedding, weight, bias, labels, 1, margin=4, beta=beta)
        np.testing.assert_allclose(got, expected, atol=2e-5)
