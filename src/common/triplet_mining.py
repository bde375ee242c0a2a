"""Which triplets of a bag of embeddings teach something: semi-hard mining as in FaceNet.

A triplet (anchor, positive, negative) is taken if the negative is farther from the anchor than the
positive, but by less than the margin alpha (Schroff et al. 2015, arXiv:1503.03832, section 3.2).
"""

import numpy as np

# Rows of pairs that are compared with all embeddings at a time: 512 × 3600 numbers fit the cache of
# a server and keep a bag's memory at some 10 MB.
PAIRS_AT_A_TIME = 512


def squared_distances(embeddings):
    """Squared distances (N,N), float32, of all pairs of embeddings (N,D), by one matrix product."""
    embeddings = np.asarray(embeddings, np.float64)
    norms = np.einsum("nd,nd->n", embeddings, embeddings)
    distances = np.empty((len(embeddings), len(embeddings)), np.float32)
    for begin in range(0, len(embeddings), PAIRS_AT_A_TIME):
        rows = slice(begin, begin + PAIRS_AT_A_TIME)
        products = embeddings[rows] @ embeddings.T
        distances[rows] = np.maximum(norms[rows, None] + norms - 2 * products, 0)
    return distances


def positive_pairs(nrof_images_per_class):
    """All pairs (anchor, positive) within each identity, as int arrays (P,), (P,).

    Parameters
    ----------
    nrof_images_per_class : sequence of int
        How many of the embeddings, in their order, belong to each identity in turn.
    """
    anchors, positives = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = 0
    for count in nrof_images_per_class:
        first, second = np.triu_indices(int(count), 1)
        anchors.append(first + start)
        positives.append(second + start)
        start += int(count)
    return np.concatenate(anchors), np.concatenate(positives)


def semi_hard_triplets(embeddings, distances, nrof_images_per_class, alpha, max_ap=0.0):
    """List of (anchor, positive, negative) rows, shuffled.

    For each pair one of its semi-hard negatives is drawn by NumPy's global generator, pair by pair,
    then the list is shuffled by it, so that `np.random.seed` gives the triplets of 2018.

    Parameters
    ----------
    embeddings : ndarray of shape (N, D)
        Of length 1, grouped by identity.
    distances : float32 ndarray of shape (N, N)
        Squared; see `squared_distances`.
    nrof_images_per_class : sequence of int
        See `positive_pairs`.
    alpha : float
        Margin.
    max_ap : float
        Pairs whose squared distance is larger are left out; 0 takes all.
    """
    anchors, positives = positive_pairs(nrof_images_per_class)
    differences = np.asarray(embeddings)[anchors] - np.asarray(embeddings)[positives]
    own = np.sum(np.square(differences), axis=1)
    if max_ap > 0.0:
        near = own <= max_ap
        anchors, positives, own = anchors[near], positives[near], own[near]
    # 2018: the comparison was one of single precision.
    own = own.astype(np.float32)
    identity = np.repeat(np.arange(len(nrof_images_per_class)), nrof_images_per_class)
    triplets = []
    for begin in range(0, len(anchors), PAIRS_AT_A_TIME):
        part = slice(begin, begin + PAIRS_AT_A_TIME)
        triplets.append(
            _with_negatives(
                anchors[part], positives[part], own[part, None], distances, identity, alpha
            )
        )
    triplets = [tuple(row) for block in triplets for row in block.tolist()]
    np.random.shuffle(triplets)
    return triplets


def _with_negatives(anchors, positives, own, distances, identity, alpha):
    """Triplets (T,3) of some pairs; those without a semi-hard negative are left out."""
    others = distances[anchors]
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
    columns = np.nonzero(fits)[1]  # row by row, as many of each as counts says
    negatives = columns[np.cumsum(counts) - counts + drawn]
    return np.stack([anchors, positives, negatives], axis=1)
