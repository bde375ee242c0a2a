"""Class vectors: their initial values, samples of them, and their lengths."""

import json
import math
from collections.abc import Iterator

import numpy as np

from src.common.mxnet_backend import mx

# Rows that are computed with at a time: 8 MB for embeddings of 512. The C library keeps memory of
# this size for the next block; larger blocks would be returned to the system and cost four times as
# much.
ROWS_AT_A_TIME = 1 << 12

SMALLEST_SQUARED_LENGTH = 1e-10  # added by MXNet's L2Normalization

ROWS_PER_SEED = 1 << 15  # from one generator; another number changes all initial class vectors


def initial_vectors(
    initializer: mx.init.Initializer, shape: tuple[int, int], first: int, stop: int, seed: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Parts of the rows [first, stop) of a random array, each with its first row.

    Parameters
    ----------
    initializer
        A Xavier initialiser.
    shape
        Of all class vectors (C, D).
    """
    for block in range(first // ROWS_PER_SEED, -(-stop // ROWS_PER_SEED)):
        begin = block * ROWS_PER_SEED
        values = random_vectors(initializer, shape, ROWS_PER_SEED, (seed, block))
        low, high = max(begin, first), min(begin + ROWS_PER_SEED, stop)
        yield low, values[low - begin : high - begin]


def random_vectors(
    initializer: mx.init.Initializer,
    shape: tuple[int, int],
    rows: int,
    seed: tuple[int, ...],
) -> np.ndarray:
    """`rows` rows of an array of the given shape, float32, from a Xavier initialiser's formula."""
    settings = json.loads(initializer.dumps())[1]
    fan_out, fan_in = shape
    factors = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}
    scale = math.sqrt(settings["magnitude"] / factors[settings["factor_type"]])
    generator = np.random.default_rng(seed)
    if settings["rnd_type"] == "uniform":
        values = generator.random((rows, fan_in), np.float32) * 2 - 1
    else:
        values = generator.standard_normal((rows, fan_in), np.float32)
    return values * np.float32(scale)


def sample_size(classes: int, rate: float, batch_size: int) -> int:
    """Number of classes in a step: always the same, because each size needs buffers."""
    return min(classes, max(math.ceil(rate * classes), batch_size))


def sample_with(
    present: np.ndarray, count: int, wanted: int, generator: np.random.Generator
) -> np.ndarray:
    """`present` (sorted, of 0..count-1) and random others, `wanted` numbers in all, sorted."""
    absent = count - len(present)
    places = np.sort(generator.choice(absent, wanted - len(present), replace=False, shuffle=False))
    # The i-th absent number is i plus the number of present ones before it.
    before = np.searchsorted(present - np.arange(len(present)), places, side="right")
    return np.sort(np.concatenate([present, places + before]))


def inverse_lengths(vectors: mx.nd.NDArray) -> mx.nd.NDArray:
    """(1, S), 1/length of vectors (S, D), with the small number that L2Normalization adds."""
    # A product with ones is faster than `mx.nd.norm`.
    ones = mx.nd.ones((1, vectors.shape[1]), vectors.context)
    parts = [
        mx.nd.FullyConnected(
            mx.nd.square(vectors[begin : begin + ROWS_AT_A_TIME]), ones, num_hidden=1, no_bias=True
        )
        for begin in range(0, len(vectors), ROWS_AT_A_TIME)
    ]
    squares = mx.nd.concat(*parts, dim=0).reshape((1, -1))
    return mx.nd.rsqrt(squares + SMALLEST_SQUARED_LENGTH)
