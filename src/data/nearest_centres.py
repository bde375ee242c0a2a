"""The most similar class centre of another set: float32 in blocks, float64 where it matters."""

import numpy as np

BLOCK = 4096  # centres of each set: 64 MB of similarities
RECHECKED = 8192  # pairs at a time: 64 MB of float64


def nearest(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(similarity (Q,), index (Q,)) of the reference that is most similar to each query.

    The result is that of float64: whatever float32 cannot tell from the most similar one is
    compared again. The memory does not grow with the sets.

    Parameters
    ----------
    queries
        Unit rows (Q, D), or zeros.
    references
        Unit rows (R, D), or zeros; if there are none, all similarities and indices are -1.
    """
    similarities = np.full(len(queries), -1.0)
    places = np.full(len(queries), -1)
    if len(references):
        for start in range(0, len(queries), BLOCK):
            part = slice(start, start + BLOCK)
            _nearest_of_block(queries[part], references, similarities[part], places[part])
    return similarities, places


def _nearest_of_block(
    queries: np.ndarray, references: np.ndarray, similarities: np.ndarray, places: np.ndarray
) -> None:
    """Fills `similarities` and `places` of a block of queries."""
    # A centre without images is as similar to one reference as to any other.
    empty = ~queries.any(axis=1)
    similarities[empty], places[empty] = 0, 0
    rows = np.flatnonzero(~empty)
    single = queries[rows].astype(np.float32)
    # Bound of what rounding the rows, the products and their sum to float32 can change.
    error = (queries.shape[1] + 2) * np.finfo(np.float32).eps
    for start in range(0, len(references), BLOCK):
        block = references[start : start + BLOCK]
        products = single @ block.astype(np.float32).T
        highest = products.max(axis=1)
        better = np.flatnonzero(highest >= similarities[rows] - error)
        limit = (np.maximum(highest[better], similarities[rows[better]]) - error).astype(np.float32)
        # Two errors, one of each similarity that is compared.
        row, column = np.nonzero(products[better] >= limit[:, None] - np.float32(error))
        for begin in range(0, len(row), RECHECKED):
            chosen, other = (
                rows[better[row[begin : begin + RECHECKED]]],
                column[begin : begin + RECHECKED],
            )
            exact = np.einsum("pd,pd->p", queries[chosen], block[other], dtype=np.float64)
            _take_better(chosen, exact, other + start, similarities, places)


def _take_better(
    chosen: np.ndarray,
    exact: np.ndarray,
    other: np.ndarray,
    similarities: np.ndarray,
    places: np.ndarray,
) -> None:
    """Takes the highest of the similarities for each query, the first of equal ones."""
    order = np.lexsort((other, -exact, chosen))
    first = np.unique(chosen[order], return_index=True)[1]
    best = order[first]
    better = best[(exact[best] > similarities[chosen[best]]) | (places[chosen[best]] < 0)]
    similarities[chosen[better]] = exact[better]
    places[chosen[better]] = other[better]
