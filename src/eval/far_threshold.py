"""The threshold at which a false accept rate is reached, to the digit of 2018."""

import numpy as np

from src.common.errors import InputError

_INSERTION_SORT_SPAN = 15  # NumPy's SMALL_QUICKSORT


def threshold_at_far(thresholds, far, far_target):
    """The threshold where a curve of false accept rates reaches `far_target`; 0 if it never does.

    2018: SciPy 1.2's `interp1d(far, thresholds, kind='slinear')`, which later versions refuse
    because a rate repeats over many thresholds. It goes straight from the last threshold before
    the target to the first one behind it, in the order of NumPy's `argsort`. That order is not
    stable, so that "last" and "first" are some thresholds of two plateaus; it is followed here
    because the figures of 2018 hang on it.

    Parameters
    ----------
    thresholds, far : ndarray of shape (T,)
    far_target : float
    """
    if np.max(far) < far_target:
        return 0.0
    below = int(np.count_nonzero(far <= far_target))
    if below == 0:
        raise InputError(
            f"the smallest threshold already accepts {np.min(far)} of the different pairs, more "
            f"than {far_target}; begin the thresholds at 0"
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


def _introsort_at(values, positions):
    """Which indices NumPy's default `argsort` (as of 1.14) puts at some positions.

    Newer NumPy sorts by other instructions on other processors, which leaves equal values in
    another order. Only the parts of the array that hold a wanted position are sorted.
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


def _partition(values, order, first, last):
    """One step of quicksort (Hoare, median of three) on order[first..last]; the pivot's place."""
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
