"""A softmax over all classes from the softmaxes over parts of them."""

import math
from typing import NamedTuple

import numpy as np

from src.losses.metrics import SMALLEST_PROBABILITY


class Statistics(NamedTuple):
    """What a shard tells the others about each image of a batch, float64 (N,) each.

    `log_sum` is the logarithm of the sum of the exponentials of its logits, `best` the largest of
    them. `own` is the logit of the image's own class, and `own_is_best` whether that is the
    largest; both are NaN in all shards but the one that has the class.
    """

    log_sum: np.ndarray
    best: np.ndarray
    own: np.ndarray
    own_is_best: np.ndarray


class Combined(NamedTuple):
    """The softmax over all classes.

    `shares` (parts, N) is the share of each part in the sum of exponentials; `own_probability` (N,)
    that of the own class. `results` are (N,) by the name of the metric: whether the own class is
    the best, and the cross entropy.
    """

    shares: np.ndarray
    own_probability: np.ndarray
    results: dict[str, np.ndarray]


def combine(told: Statistics) -> Combined:
    """The softmax over all classes, from the statistics of all parts, (parts, N) each."""
    largest = told.log_sum.max(axis=0)
    log_sum = largest + np.log(np.exp(told.log_sum - largest).sum(axis=0))
    holder = np.argmin(np.isnan(told.own_is_best), axis=0)  # the part with the own class
    every = np.arange(len(holder))
    own = told.own[holder, every]
    is_best = (told.own_is_best[holder, every] > 0) & (own >= told.best.max(axis=0))
    # `minimum` passes NaN on; the hook that stops a diverged run relies on it.
    losses = np.minimum(log_sum - own, -math.log(SMALLEST_PROBABILITY))
    results = {"acc": is_best.astype(np.float64), "lossvalue": losses}
    return Combined(np.exp(told.log_sum - log_sum), np.exp(own - log_sum), results)
