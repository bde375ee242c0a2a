"""2018's module of training images; the code is in `src.loading.face_iter`."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

from src.loading.face_iter import FaceImageIter, FaceImageIterList

__all__ = ["FaceImageIter", "FaceImageIterList"]
