"""2018's module of training triplets; the code is in `src.loading.triplet_iter`."""

from src.loading.triplet_iter import FaceImageIter, NoTriplets

__all__ = ["FaceImageIter", "NoTriplets"]
