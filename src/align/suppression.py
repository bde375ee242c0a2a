"""Non-maximum suppression of the face detector's boxes, for one photo or for many at once."""

from collections.abc import Sequence

import numpy as np

_PAIRS_AT_ONCE = 1 << 18
_BOXES_AT_ONCE = 256  # of one group, of which all pairs are compared


def nms(boxes: np.ndarray, threshold: float, method: str) -> np.ndarray:
    """Greedy non-maximum suppression; returns the kept rows, best score first.

    Parameters
    ----------
    boxes
        (N, 5 or more), columns x1, y1, x2, y2, score; corners are inclusive (width = x2 - x1 + 1).
    threshold
        A box overlapping a kept one by more than this is dropped.
    method
        'Union' or 'Min': overlap relative to the union, or to the smaller of the two boxes.

    Returns
    -------
    pick
        int64 (K,); empty for N = 0. Equal scores keep NumPy's argsort order, as in 2018.
    """
    if method not in ("Union", "Min"):
        raise ValueError(f"method {method!r}: expected 'Union' or 'Min'")
    return nms_in_groups(boxes, np.zeros(len(boxes), np.int64), threshold, method)


def nms_in_groups(
    boxes: np.ndarray, group: np.ndarray, threshold: float, method: str
) -> np.ndarray:
    """`nms` among the boxes of each group; returns the kept rows, group after group.

    Parameters
    ----------
    group
        int (N,), ascending.
    """
    if len(boxes) == 0:
        return np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    counts = np.diff(np.r_[starts, len(boxes)])
    orders = [
        start + _argsort_2018(boxes[start : start + count, 4])[::-1]
        for start, count in zip(starts, counts, strict=True)
    ]
    # Groups of similar size are compared together, so that little of the comparison is padding.
    kept: list[np.ndarray] = [np.empty(0, np.int64)] * len(orders)
    by_count = np.argsort(counts, kind="stable")
    first = 0
    while first < len(by_count):
        largest = int(counts[by_count[first]]) * 2
        last = int(np.searchsorted(counts[by_count], largest, "right"))
        some = by_count[first : min(last, first + max(_PAIRS_AT_ONCE // largest**2, 1))]
        for place, rows in zip(
            some, _suppressed(boxes, [orders[i] for i in some], threshold, method), strict=True
        ):
            kept[place] = rows
        first += len(some)
    return np.concatenate(kept)


def _suppressed(
    boxes: np.ndarray, orders: Sequence[np.ndarray], threshold: float, method: str
) -> list[np.ndarray]:
    """Of each group the kept rows; `orders` has its rows, best score first."""
    longest = max(map(len, orders))
    if longest > _BOXES_AT_ONCE:
        return [_suppressed_in_blocks(boxes, order, threshold, method) for order in orders]
    rows = np.zeros((len(orders), longest), np.int64)
    left = np.zeros(rows.shape, bool)
    for place, order in enumerate(orders):
        rows[place, : len(order)] = order
        left[place, : len(order)] = True
    corners = np.moveaxis(boxes[rows, :4], 2, 0)
    dropped = np.triu(_overlapping(corners[..., :, None], corners[..., None, :], threshold, method))
    for place in range(longest - 1):  # of the remaining boxes, those worse than this one
        left[:, place + 1 :] &= ~(dropped[:, place, place + 1 :] & left[:, place, None])
    return [row[keep] for row, keep in zip(rows, left, strict=True)]


def _suppressed_in_blocks(
    boxes: np.ndarray, order: np.ndarray, threshold: float, method: str
) -> np.ndarray:
    """As `_suppressed` for one group, with memory for some pairs of its boxes at a time."""
    corners = boxes[:, :4].T
    kept = []
    while order.size:
        block, rest = order[:_BOXES_AT_ONCE], order[_BOXES_AT_ONCE:]
        (picked,) = _suppressed(boxes, [block], threshold, method)
        kept.append(picked)
        for few in np.array_split(picked, -(-len(picked) * len(rest) // _PAIRS_AT_ONCE) or 1):
            covered = _overlapping(corners[:, few, None], corners[:, None, rest], threshold, method)
            rest = rest[~covered.any(axis=0)]
        order = rest
    return np.concatenate(kept)


def _overlapping(best: np.ndarray, others: np.ndarray, threshold: float, method: str) -> np.ndarray:
    """Whether boxes overlap by more than the threshold, bool.

    The first axis of both is x1, y1, x2, y2; the other axes broadcast.
    """
    area, others_area = ((x2 - x1 + 1) * (y2 - y1 + 1) for x1, y1, x2, y2 in (best, others))
    width = np.minimum(best[2], others[2]) - np.maximum(best[0], others[0]) + 1
    height = np.minimum(best[3], others[3]) - np.maximum(best[1], others[1]) + 1
    shared = np.maximum(0.0, width) * np.maximum(0.0, height)
    with np.errstate(divide="ignore", invalid="ignore"):
        if method == "Min":
            overlap = shared / np.minimum(area, others_area)
        else:
            overlap = shared / (area + others_area - shared)
    return ~(overlap <= threshold)


def _argsort_2018(scores: np.ndarray) -> np.ndarray:
    """Rows by ascending score; equal scores in the order in which NumPy's introsort leaves them.

    Boxes of clear faces often have the same score, 1. Since NumPy 1.25, `argsort` uses another
    algorithm for float64 on processors with AVX-512 and orders them differently, which changed 4 of
    163 faces of Labeled Faces in the Wild. For long doubles it uses the old one everywhere.
    """
    return np.argsort(scores.astype(np.longdouble))
