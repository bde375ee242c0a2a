"""Semi-hard triplets in a bag of embeddings, as in FaceNet.

A triplet (anchor, positive, negative) is used if the negative is farther from the anchor than the
positive, but by less than the margin alpha (Schroff et al. 2015, arXiv:1503.03832, section 3.2).
"""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.preprocessing import normalize

from src.common.errors import InputError

Triplet = tuple[int, int, int]

# Distances that exist at a time: memory only grows linearly with the bag. Those of 512 pairs
# to 3,600 images fit the cache of a server; all that is computed from them takes some 30 MB.
DISTANCES_AT_A_TIME = 512 * 3600


def of_unit_length(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) divided by their lengths, float64; InputError if they are not finite."""
    if not np.isfinite(embeddings).all():
        raise InputError(
            "the network's embeddings are not finite: use a lower --lr or another --pretrained"
        )
    return normalize(embeddings.astype(np.float64))


def squared_distances(embeddings: np.ndarray) -> np.ndarray:
    """Squared distances (N, N), float32, of all pairs of embeddings (N, D), as a matrix product."""
    embeddings = np.asarray(embeddings, np.float64)
    norms = squared_norms(embeddings)
    distances = np.empty((len(embeddings), len(embeddings)), np.float32)
    step = rows_at_a_time(len(embeddings))
    for begin in range(0, len(embeddings), step):
        rows = slice(begin, begin + step)
        distances[rows] = distances_from(embeddings, norms, rows)
    return distances


def squared_norms(embeddings: np.ndarray) -> np.ndarray:
    """(N,) of (N, D)."""
    return np.einsum("nd,nd->n", embeddings, embeddings)


def rows_at_a_time(count: int) -> int:
    """Number of embeddings that are compared with all `count` at once."""
    return max(DISTANCES_AT_A_TIME // max(count, 1), 1)


def distances_from(
    embeddings: np.ndarray, norms: np.ndarray, rows: np.ndarray | slice
) -> np.ndarray:
    """Squared distances (R, N), float32, from the given rows to all embeddings (N, D), float64."""
    products = embeddings[rows] @ embeddings.T
    return np.maximum(norms[rows, None] + norms - 2 * products, 0).astype(np.float32)


def positive_pairs(
    nrof_images_per_class: Sequence[int] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (anchor, positive) within each identity, as int arrays (P,), (P,).

    Parameters
    ----------
    nrof_images_per_class
        Number of embeddings of each identity, in order.
    """
    anchors, positives = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = 0
    for count in nrof_images_per_class:
        first, second = np.triu_indices(int(count), 1)
        anchors.append(first + start)
        positives.append(second + start)
        start += int(count)
    return np.concatenate(anchors), np.concatenate(positives)


def semi_hard_triplets(
    embeddings: np.ndarray,
    nrof_images_per_class: Sequence[int] | np.ndarray,
    alpha: float,
    max_ap: float = 0.0,
    check_stop: Callable[[], None] = lambda: None,
) -> list[Triplet]:
    """List of (anchor, positive, negative) rows, shuffled.

    For each pair, one of its semi-hard negatives is drawn with NumPy's global generator, which also
    shuffles the list, so `np.random.seed` gives the triplets of 2018.

    Parameters
    ----------
    embeddings
        (N, D), of length 1, grouped by identity.
    nrof_images_per_class
        See `positive_pairs`.
    alpha
        Margin.
    max_ap
        Pairs with a larger squared distance are skipped; 0 uses all.
    check_stop
        Called every few hundred pairs; what it raises ends the mining.
    """
    anchors, positives = positive_pairs(nrof_images_per_class)
    differences = np.asarray(embeddings)[anchors] - np.asarray(embeddings)[positives]
    own = np.sum(np.square(differences), axis=1)
    if max_ap > 0.0:
        near = own <= max_ap
        anchors, positives, own = anchors[near], positives[near], own[near]
    # 2018: the comparison was in single precision.
    own = own.astype(np.float32)
    identity = np.repeat(np.arange(len(nrof_images_per_class)), nrof_images_per_class)
    triplets: list[Triplet] = []
    precise = np.asarray(embeddings, np.float64)
    norms = squared_norms(precise)
    step = rows_at_a_time(len(precise))
    for begin in range(0, len(anchors), step):
        check_stop()
        part = slice(begin, begin + step)
        rows, row_of_pair = np.unique(anchors[part], return_inverse=True)
        others = distances_from(precise, norms, rows)[row_of_pair]
        found = _with_negatives(
            anchors[part], positives[part], own[part, None], others, identity, alpha
        )
        triplets += [(a, p, n) for a, p, n in found.tolist()]
    np.random.shuffle(triplets)
    return triplets


def _with_negatives(
    anchors: np.ndarray,
    positives: np.ndarray,
    own: np.ndarray,
    others: np.ndarray,
    identity: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """Triplets (T, 3) of those of the given pairs that have a semi-hard negative.

    `anchors` and `positives` are (P,), `own` (P, 1) their squared distances, `others` (P, N) those
    from the anchors to all embeddings, `identity` (N,).
    """
    fits = (others - own < np.float32(alpha)) & (own < others)
    fits &= identity[anchors][:, None] != identity[None, :]
    counts = fits.sum(axis=1)
    has_negative = counts > 0
    anchors, positives, counts = (
        anchors[has_negative],
        positives[has_negative],
        counts[has_negative],
    )
    if not len(counts):
        return np.empty((0, 3), np.int64)
    drawn = np.random.randint(0, counts)
    columns = np.nonzero(fits)[1]  # row by row, `counts` of each
    negatives = columns[np.cumsum(counts) - counts + drawn]
    return np.stack([anchors, positives, negatives], axis=1)


def arranged(triplets: Sequence[Triplet], per_device: int, devices: int) -> list[int]:
    """Record numbers, batch by batch; for each device its anchors, positives, then negatives.

    Parameters
    ----------
    triplets
        Of record numbers; those that do not fill a last batch are dropped.
    per_device
        Number of triplets that a batch has on each device.
    """
    per_batch = per_device * devices
    complete = len(triplets) // per_batch * per_batch
    blocks = np.array(triplets[:complete], np.int64).reshape(-1, per_device, 3)
    return blocks.transpose(0, 2, 1).ravel().tolist()


def why_none(alpha: float, max_ap: float) -> str:
    """What it means that no triplet was found, for a message; parameters as above."""
    limit = f"; or --triplet-max-ap {max_ap:g} leaves no positive pair" if max_ap > 0 else ""
    return (
        f"no negative is farther than its positive by less than --triplet-alpha {alpha:g}. Either "
        "all identities of this set are already separated, and training is finished; or all "
        f"embeddings are nearly equal: use a lower --lr or another --pretrained{limit}"
    )
