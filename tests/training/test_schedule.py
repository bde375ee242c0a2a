"""When the learning rate falls, and what is said before the start."""

import math

import numpy as np
import pytest

from src.common.errors import InputError
from src.training.schedule import (
    Annealing,
    Schedule,
    check_annealing,
    describe,
    learning_rate_steps,
    loss_at_start,
    sphere_loss_at_start,
)


@pytest.mark.parametrize(
    ("text", "loss_type", "batch_size", "expected"),
    [
        ("", 4, 512, [100000, 140000, 160000]),
        ("", 2, 512, [100000, 140000, 160000]),
        ("", 1, 512, [100000, 140000, 160000]),
        ("", 0, 512, [40000, 60000, 80000]),
        ("", 0, 128, [160000, 240000, 320000]),
        ("", 0, 480, [42666, 64000, 85333]),
        ("", 12, 150, []),
        ("100000,140000,160000", 0, 128, [100000, 140000, 160000]),
        ("7", 12, 150, [7]),
    ],
)
def test_steps_are_those_of_2018(text, loss_type, batch_size, expected):
    assert learning_rate_steps(text, loss_type, batch_size) == expected


def test_rates_are_those_of_repeated_multiplication():
    schedule = Schedule(0.1, [3, 5, 6], 100, 10, beta_freeze=1)
    rate = 0.1
    for step in range(1, 20):
        assert schedule.rate(step) == pytest.approx(rate, rel=1e-12)
        # 2018: after batch `step`, in its callback
        if step in (4, 6, 7):
            rate *= 0.1
            assert schedule.falls_after(step)
        else:
            assert not schedule.falls_after(step)


@pytest.mark.parametrize(
    ("batches", "end_epoch", "max_steps", "expected"),
    [(10, 3, 0, 30), (10, 3, 7, 7), (10, 3, 70, 30), (None, 3, 7, 7), (None, 3, 0, math.inf)],
)
def test_the_last_batch(batches, end_epoch, max_steps, expected):
    assert Schedule(0.1, [], batches, end_epoch, max_steps).last_step == expected


def test_what_is_said_before_the_start():
    lines = describe(Schedule(0.1, [20, 40, 600], 10, 5), 85, 8)
    assert lines == [
        "85 images, 10 batches of 8 an epoch",
        "the run ends with batch 50, after 5 epochs, by --end-epoch 5",
        "learning rate 0.1, 0.01 after batch 20, 0.001 after batch 40 "
        "(the run ends before batch 600)",
    ]
    lines = describe(Schedule(0.005, [], None, 5, 100), 3600, 150)
    assert lines == [
        "batches of 150; epochs of what a bag of 3600 images gives",
        "the run ends with --max-steps 100",
        "learning rate 0.005, the same to the end",
    ]


def test_a_softmax_begins_at_the_logarithm_of_the_classes():
    assert loss_at_start(0, 200, 128, (64.0, 0.5, 1.0, 0.0)) == math.log(200)


@pytest.mark.parametrize(
    ("loss_type", "margins", "own_logit"),
    [
        (2, (64.0, 0.35, 1.0, 0.0), lambda s, angle: s * (np.cos(angle) - 0.35)),
        (4, (64.0, 0.5, 1.0, 0.0), lambda s, angle: s * np.cos(angle + 0.5)),
        (5, (32.0, 0.3, 1.0, 0.2), lambda s, angle: s * (np.cos(angle + 0.3) - 0.2)),
    ],
)
@pytest.mark.parametrize("num_classes", [50, 5000])
@pytest.mark.parametrize("emb_size", [128, 512])
def test_margin_losses_against_random_embeddings(
    loss_type, margins, own_logit, num_classes, emb_size
):
    random = np.random.RandomState(0)
    embeddings, classes = (random.randn(n, emb_size) for n in (100, num_classes))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    cosines = embeddings @ classes.T
    logits = margins[0] * cosines
    logits[:, 0] = own_logit(margins[0], np.arccos(cosines[:, 0]))
    largest = logits.max(axis=1)
    losses = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)) - logits[:, 0]
    expected = loss_at_start(loss_type, num_classes, emb_size, margins)
    assert expected == pytest.approx(losses.mean(), rel=0.1)


def betas_of_2018(steps, beta, beta_min, freeze, gamma, power):
    """Beta of each batch, step by step: after a batch it is set for the next one."""
    current, seen = beta, []
    for finished in range(1, steps + 1):
        seen.append(current)
        if finished <= freeze:
            current = beta
        else:
            current = max(beta_min, beta * (1 + gamma * (finished - freeze)) ** (-power))
    return seen


@pytest.mark.parametrize(
    "flags",
    [
        (1000.0, 5.0, 0, 0.12, 1.0),
        (1000.0, 5.0, 30, 0.12, 1.0),
        (100.0, 3.0, 7, 0.5, 2.0),
        (5.0, 5.0, 0, 0.12, 1.0),
        (1000.0, 0.0, 0, 0.0, 1.0),
    ],
)
def test_beta_is_that_of_2018(flags):
    schedule = Schedule(0.1, [], 100, 10, annealing=Annealing(*flags))
    expected = betas_of_2018(4000, *flags)
    got = [schedule.beta(step) for step in range(1, 4001)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert Schedule(0.1, [], 100, 10).beta(1) is None


def test_beta_waits_for_the_first_batch_behind_those_it_is_frozen_for():
    annealing = Annealing(1000.0, 5.0, 2, 1.0, 1.0)
    assert [annealing.beta(step) for step in (1, 2, 3, 4, 5)] == [1000, 1000, 1000, 500, 1000 / 3]
    assert annealing.beta(10**9) == 5.0


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_numbers_that_beta_is_not_defined_for_are_refused(place, value):
    flags = [1000.0, 5.0, 0, 0.12, 1.0]
    check_annealing(Annealing(*flags))
    flags[place] = value
    named = ("--beta ", "--beta-min", "--beta-freeze", "--gamma", "--power")[place]
    with pytest.raises(InputError, match=named):
        check_annealing(Annealing(*flags))


def test_how_beta_will_go_is_said_before_the_start():
    annealing = Annealing(1000.0, 5.0, 5000, 0.06, 1.0)
    lines = describe(Schedule(0.1, [], 10, 5, annealing=annealing), 85, 8)
    assert lines[-1] == "SphereFace's beta 1000, falling to no less than 5 from batch 5002 on"


def test_a_beta_below_its_minimum_is_said_to_rise():
    """2018 took it, and it is what --beta 1 gives beside the other defaults."""
    plan = Schedule(0.1, [], 10, 5, annealing=Annealing(1.0, 5.0, 3, 0.12, 1.0))
    assert [plan.beta(step) for step in (1, 4, 5, 6)] == [1.0, 1.0, 5.0, 5.0]
    *_, line = describe(plan, 85, 8)
    assert line == "SphereFace's beta 1, then 5, its minimum, from batch 5 on"


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
    expected = sphere_loss_at_start(2000, 128, margin, beta)
    assert expected == pytest.approx(losses.mean(), rel=0.1)


def test_one_class_has_nothing_to_lose_against():
    assert math.isfinite(loss_at_start(4, 1, 128, (64.0, 0.5, 1.0, 0.0)))
