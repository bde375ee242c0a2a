"""The seed of a run, from which all its random numbers follow."""

import random
import secrets

import numpy as np

from src.common.mxnet_backend import mx

LARGEST_SEED = (1 << 31) - 1  # of MXNet's generator


def chosen_seed(seed: int | None) -> int:
    """`seed`, or a new one."""
    return secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed


def seed_generators(seed: int, step: int = 0) -> None:
    """Seeds Python's, NumPy's and MXNet's generators from the run's seed and a batch number."""
    derived = int(np.random.SeedSequence((seed, step)).generate_state(1)[0]) % (LARGEST_SEED + 1)
    random.seed(derived)
    np.random.seed(derived)
    mx.random.seed(derived)
