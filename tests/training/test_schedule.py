"""When the learning rate falls, and what is logged before the start."""

import math

import pytest

from src.losses.registry import create
from src.training.schedule import Schedule, ScheduledRate, describe, learning_rate_steps


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
    assert learning_rate_steps(text, create(loss_type, {}), batch_size) == expected


def test_rates_are_those_of_repeated_multiplication():
    schedule = Schedule(0.1, [3, 5, 6], 100, 10, delay=1)
    scheduler = ScheduledRate(schedule)
    rate = 0.1
    for step in range(1, 20):
        assert scheduler(step) == schedule.rate(step)
        assert schedule.rate(step) == pytest.approx(rate, rel=1e-12)
        # 2018: after batch `step`, in its callback
        if step in (4, 6, 7):
            rate *= 0.1
            assert schedule.changes_after(step)
        else:
            assert not schedule.changes_after(step)


def test_a_cosine_and_a_polynomial_fall_to_nearly_zero():
    """The rates of ten batches by the formulas, with x = 0, 0.1, … 0.9."""
    cosine = Schedule(0.2, [], None, 1, 10, form="cosine")
    polynomial = Schedule(0.2, [], None, 1, 10, form="poly")
    for step in range(1, 11):
        done = (step - 1) / 10
        assert cosine.rate(step) == pytest.approx(0.1 * (1 + math.cos(math.pi * done)))
        assert polynomial.rate(step) == pytest.approx(0.2 * (1 - done) ** 2)
        assert not cosine.changes_after(step)


@pytest.mark.parametrize("form", ["step", "cosine", "poly"])
def test_the_rate_rises_during_the_warm_up(form):
    schedule = Schedule(0.4, [6], 20, 1, form=form, warmup=4)
    rates = [schedule.rate(step) for step in range(1, 21)]
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_the_form_of_the_schedule_is_logged():
    lines = describe(Schedule(0.1, [], 10, 5, form="cosine", warmup=10), 85, 8)
    assert lines[2:] == [
        "warm-up: the learning rate rises over 10 batches",
        "learning rate 0.1, falling to 0.000154 as half a cosine wave",
    ]


@pytest.mark.parametrize(
    ("batches", "end_epoch", "max_steps", "expected"),
    [(10, 3, 0, 30), (10, 3, 7, 7), (10, 3, 70, 30), (None, 3, 7, 7), (None, 3, 0, math.inf)],
)
def test_the_last_batch(batches, end_epoch, max_steps, expected):
    assert Schedule(0.1, [], batches, end_epoch, max_steps).last_step == expected


def test_what_is_logged_before_the_start():
    lines = describe(Schedule(0.1, [20, 40, 600], 10, 5), 85, 8)
    assert lines == [
        "85 images, 10 batches of 8 per epoch",
        "the run ends after batch 50 (5 epochs, --end-epoch 5)",
        "learning rate 0.1, 0.01 after batch 20, 0.001 after batch 40 (not reached: 600)",
    ]
    lines = describe(Schedule(0.005, [], None, 5, 100), 3600, 150)
    assert lines == [
        "batches of 150; an epoch is the triplets of a bag of 3600 images",
        "the run ends after --max-steps 100",
        "learning rate 0.005, constant",
    ]
