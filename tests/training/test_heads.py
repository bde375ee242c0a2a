"""Heads: forward and gradient against the papers' formulas in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.training.heads import classification_head, triplet_head
from src.training.margins import arc_margin, safe_angle

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
}


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


def literal_probabilities(embedding, weight, bias, labels, loss_type, **margins):
    """Row by row, class by class, in float64."""
    margins.pop("fc7_no_bias", None)
    result = np.empty((len(embedding), len(weight)))
    for row, (vector, label) in enumerate(zip(embedding, labels, strict=True)):
        logits = np.empty(len(weight))
        for column, center in enumerate(weight):
            if loss_type == 0:
                logits[column] = vector @ center + bias[column]
                continue
            cosine = vector @ center / np.linalg.norm(vector) / np.linalg.norm(center)
            if column == label:
                cosine = literal_margin(cosine, loss_type, **margins)
            logits[column] = SCALE * cosine
        exponentials = np.exp(logits - logits.max())
        result[row] = exponentials / exponentials.sum()
    return result


def literal_loss(embedding, weight, bias, labels, **flags):
    """Mean cross entropy of the batch."""
    probabilities = literal_probabilities(embedding, weight, bias, labels, **flags)
    return -np.mean(np.log(probabilities[np.arange(len(labels)), labels]))


def numeric_gradient(function, array, step=1e-6):
    """Central differences, one entry at a time."""
    gradient = np.empty_like(array)
    for index in np.ndindex(*array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        below = function()
        array[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


def head_executor(flags, embedding, weight, labels, bias):
    symbol = classification_head(mx.sym.var("embedding"), len(weight), embedding_size=SIZE, **flags)
    values = {"embedding": embedding, "fc7_weight": weight, "softmax_label": labels}
    values["fc7_bias"] = bias
    arrays = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, gradients)
    executor.forward(is_train=True)
    executor.backward()
    return executor


def batch(seed, turn=0.0):
    """Embeddings, class vectors, labels, bias; `turn` draws each class vector to its embedding."""
    rng = np.random.RandomState(seed)
    embedding, weight = rng.randn(BATCH, SIZE), rng.randn(CLASSES, SIZE)
    labels = np.arange(BATCH) * 2 % CLASSES
    weight[labels] = (1 - abs(turn)) * weight[labels] + turn * embedding
    return embedding, weight, labels, rng.randn(CLASSES) * 0.1


# Angles to the target near 90°, small, and above π - m.
@pytest.mark.parametrize("turn", [0.0, 0.7, -0.85], ids=["far", "near", "opposite"])
@pytest.mark.parametrize("name", MARGINS)
def test_probabilities_and_gradients_are_those_of_the_formula(name, turn):
    flags = MARGINS[name]
    embedding, weight, labels, bias = batch(3, turn)
    used_bias = bias * 0 if flags.get("fc7_no_bias") else bias
    executor = head_executor(flags, embedding, weight, labels, bias)
    features, probabilities = (output.asnumpy() for output in executor.outputs)
    np.testing.assert_allclose(features, embedding, rtol=1e-6)
    expected = literal_probabilities(embedding, weight, used_bias, labels, **flags)
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)

    def loss():
        return literal_loss(embedding, weight, used_bias, labels, **flags)

    for key, array in (("embedding", embedding), ("fc7_weight", weight)):
        wanted = numeric_gradient(loss, array)
        got = executor.grad_dict[key].asnumpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4 * max(1.0, np.abs(wanted).max()))
    if "fc7_bias" in executor.grad_dict:
        got = executor.grad_dict["fc7_bias"].asnumpy()
        np.testing.assert_allclose(got, numeric_gradient(loss, used_bias), atol=1e-5)
    assert not executor.grad_dict["softmax_label"].asnumpy().any()


@pytest.mark.parametrize("name", [name for name in MARGINS if "softmax" not in name])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["angle 0", "angle 180"])
def test_gradients_are_finite_on_and_against_the_class_vector(name, sign):
    embedding, weight, labels, bias = batch(7)
    weight[labels] = sign * embedding
    embedding[-1] = 0.0  # no direction at all
    executor = head_executor(MARGINS[name], embedding, weight, labels, bias)
    for output in executor.outputs:
        assert np.isfinite(output.asnumpy()).all()
    for gradient in executor.grad_dict.values():
        assert np.isfinite(gradient.asnumpy()).all()


def evaluate(symbol, values):
    """(value, derivative) of a symbol of the variable `cosine` at each of `values`."""
    array, gradient = mx.nd.array(values), mx.nd.zeros(len(values))
    executor = symbol.bind(mx.cpu(), {"cosine": array}, {"cosine": gradient})
    executor.forward(is_train=True)
    executor.backward(mx.nd.ones(len(values)))
    return executor.outputs[0].asnumpy(), gradient.asnumpy()


NEAR_ONE = np.nextafter(np.float32(1), np.float32(0))


def test_margins_at_both_ends_are_exact_and_their_gradients_finite():
    cosines = np.array([1.0, -1.0, NEAR_ONE, -NEAR_ONE, 0.0, 1.0 + 1e-6, -1.0 - 1e-6], np.float32)
    clipped = np.clip(cosines.astype(np.float64), -1, 1)
    angle, slope = evaluate(safe_angle(mx.sym.var("cosine")), cosines)
    np.testing.assert_allclose(angle, np.arccos(clipped), atol=2e-7)
    assert np.isfinite(slope).all()
    shifted, slope = evaluate(arc_margin(mx.sym.var("cosine"), 0.5), cosines)
    expected = [literal_margin(cosine, 4) for cosine in clipped]
    np.testing.assert_allclose(shifted, expected, atol=2e-6)
    assert np.isfinite(slope).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
)
def test_no_finite_cosine_gives_nan(cosines):
    for symbol in (safe_angle(mx.sym.var("cosine")), arc_margin(mx.sym.var("cosine"), 0.5)):
        for result in evaluate(symbol, np.array(cosines, np.float32)):
            assert not np.isnan(result).any()


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1.5), st.floats(0.0, 3.14))
def test_arc_margin_never_rises_with_the_angle(margin, angle):
    """So that training always gains by turning towards the class."""
    angles = np.array([angle, min(angle + 0.01, np.pi)])
    values, _ = evaluate(arc_margin(mx.sym.var("cosine"), margin), np.cos(angles))
    assert values[1] <= values[0] + 1e-6


def test_labels_beyond_float32_integers_of_the_flat_array():
    """The place of a target in the flat array has more digits than float32 holds."""
    classes, rows = 400_003, 48  # 19 million places; float32 counts to 16.8 million
    rng = np.random.RandomState(0)
    labels = rng.randint(0, classes, rows)
    embedding, weight = rng.randn(rows, SIZE), rng.randn(classes, SIZE).astype(np.float32)
    symbol = classification_head(mx.sym.var("embedding"), classes, 2, embedding_size=SIZE)
    logits = symbol.get_internals()[symbol.get_internals().list_outputs()[-2]]
    assert logits.name.startswith("reshape")
    arrays = {"embedding": embedding, "fc7_weight": weight, "softmax_label": labels}
    arrays = {name: mx.nd.array(arrays[name]) for name in logits.list_arguments()}
    (got,) = logits.bind(mx.cpu(), arrays, grad_req="null").forward()
    cosine = (embedding / np.linalg.norm(embedding, axis=1)[:, None]) @ (
        weight / np.linalg.norm(weight, axis=1)[:, None]
    ).T
    cosine[np.arange(rows), labels] -= 0.5
    np.testing.assert_allclose(got.asnumpy(), SCALE * cosine, atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"loss_type": 3}, r"--loss-type 3: expected one of 0 \(softmax\), 1 \(SphereFace\)"),
        ({"loss_type": 4, "margin_m": 2.0}, "--margin-m 2.0"),
        ({"loss_type": 2, "margin_m": -0.1}, "--margin-m -0.1"),
        ({"loss_type": 4, "margin_s": 0.0}, "--margin-s 0.0"),
    ],
)
def test_wrong_losses_and_margins_are_refused(flags, message):
    with pytest.raises(InputError, match=message):
        classification_head(mx.sym.var("embedding"), CLASSES, embedding_size=SIZE, **flags)


def test_multipliers_reach_the_weight():
    symbol = classification_head(
        mx.sym.var("embedding"), CLASSES, 4, fc7_wd_mult=10.0, fc7_lr_mult=0.5, embedding_size=SIZE
    )
    attributes = symbol.attr_dict()["fc7_weight"]
    assert float(attributes["__wd_mult__"]) == 10.0
    assert float(attributes["__lr_mult__"]) == 0.5


def literal_triplet_loss(embedding, alpha):
    unit = embedding / np.linalg.norm(embedding, axis=1)[:, None]
    third = len(unit) // 3
    terms = [
        max(0.0, np.sum((a - p) ** 2) - np.sum((a - n) ** 2) + alpha)
        for a, p, n in zip(unit[:third], unit[third : 2 * third], unit[2 * third :], strict=True)
    ]
    return np.mean(terms)


@pytest.mark.parametrize("alpha", [0.05, 0.3, 2.0])
def test_triplet_loss_and_gradient_are_those_of_the_formula(alpha):
    rng = np.random.RandomState(2)
    embedding, labels = rng.randn(12, SIZE), rng.randint(0, 4, 12)
    symbol = triplet_head(mx.sym.var("embedding"), alpha)
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
