"""Random numbers of a run."""

import random

import numpy as np

from src.common.mxnet_backend import mx
from src.training.seeds import LARGEST_SEED, chosen_seed, seed_generators


def test_generators_depend_on_seed_and_step_only():
    def drawn(seed, step):
        seed_generators(seed, step)
        return random.random(), np.random.rand(), float(mx.nd.random.uniform().asscalar())

    assert drawn(1, 0) == drawn(1, 0)
    assert len({*drawn(1, 0), *drawn(1, 5), *drawn(2, 0)}) == 9


def test_a_seed_is_drawn_if_none_is_given():
    assert chosen_seed(7) == 7
    assert chosen_seed(0) == 0
    drawn = {chosen_seed(None) for _ in range(20)}
    assert len(drawn) > 15
    assert all(0 <= seed <= LARGEST_SEED for seed in drawn)
