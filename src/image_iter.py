"""2018's module of training images; the code is in `src.loading.face_iter`."""

from src.loading.face_iter import FaceImageIter, FaceImageIterList

__all__ = ["FaceImageIter", "FaceImageIterList"]
