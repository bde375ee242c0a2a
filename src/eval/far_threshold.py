"""The threshold at which a false accept rate is reached, exactly as in 2018."""

from collections.abc import Collection, Sequence

import numpy as np

from src.common.errors import InputError

_INSERTION_SORT_SPAN = 15  # NumPy's SMALL_QUICKSORT


def threshold_at_far(thresholds: np.ndarray, far: np.ndarray, far_target: float) -> float:
    """The threshold where a curve of false accept rates reaches `far_target`; 0 if it never does.

    2018: SciPy 1.2's `interp1d(far, thresholds, kind='slinear')`, which later versions reject
    because many thresholds have the same rate. It interpolates linearly between the last threshold
    before the target and the first one after it, in the order of NumPy's `argsort`. That order is
    not stable, so "last" and "first" are arbitrary thresholds of two plateaus; it is reproduced
    here because 2018's results depend on it.

    Parameters
    ----------
    thresholds, far
        (T,)

    Raises
    ------
    InputError
        The smallest threshold already accepts too many pairs.
    """
    if np.max(far) < far_target:
        return 0.0
    below = int(np.count_nonzero(far <= far_target))
    if below == 0:
        raise InputError(
            f"the smallest threshold already accepts {np.min(far)} of the different pairs, more "
            f"than {far_target}; start the thresholds at 0"
        )
    right = min(below, len(far) - 1)
    lower, upper = _introsort_at(np.asarray(far).tolist(), (right - 1, right))
    span = far[upper] - far[lower]
    if span == 0:
        return 0.0  # 2018: the target is the top plateau itself, where the spline is 0
    weight = 1 / span
    return (
        weight * (far[upper] - far_target) * thresholds[lower]
        + weight * (far_target - far[lower]) * thresholds[upper]
    )


def _introsort_at(values: Sequence[float], positions: Collection[int]) -> list[int]:
    """The indices that NumPy's default `argsort` (as of 1.14) puts at the given positions.

    Newer NumPy uses other instructions on other processors, which leaves equal values in another
    order. Only the parts of the array that contain one of the positions are sorted.
    """
    order = list(range(len(values)))
    parts = [(0, len(values) - 1)]
    while parts:
        first, last = parts.pop()
        if not any(first <= position <= last for position in positions):
            continue
        if last - first <= _INSERTION_SORT_SPAN:
            part = order[first : last + 1]
            order[first : last + 1] = sorted(part, key=values.__getitem__)
            continue
        middle = _partition(values, order, first, last)
        parts += [(first, middle - 1), (middle + 1, last)]
    return [order[position] for position in positions]


def _partition(values: Sequence[float], order: list[int], first: int, last: int) -> int:
    """One quicksort step (Hoare, median of three) on order[first..last]; the pivot's position."""
    middle = first + (last - first) // 2
    for left, right in ((first, middle), (middle, last), (first, middle)):
        if values[order[right]] < values[order[left]]:
            order[left], order[right] = order[right], order[left]
    pivot = values[order[middle]]
    order[middle], order[last - 1] = order[last - 1], order[middle]
    left, right = first, last - 1
    while True:
        left += 1
        while values[order[left]] < pivot:
            left += 1
        right -= 1
        while pivot < values[order[right]]:
            right -= 1
        if left >= right:
            break
        order[left], order[right] = order[right], order[left]
    order[left], order[last - 1] = order[last - 1], order[left]
    return left
