"""2018's module of training triplets; the code is in `src.loading.triplet_iter`."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

from src.loading.triplet_iter import FaceImageIter, NoTriplets

__all__ = ["FaceImageIter", "NoTriplets"]
