"""The interface of a face detector for alignment, and MTCNN as such a detector.

Another detector, for example one that puts many photos through its networks at once, is a class
with the two methods of `Detector`; `src.align.ladder` only uses these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from src.align.detect_face import create_mtcnn, detect_face, detect_face_force
from src.common.mxnet_backend import mx

THRESHOLDS = (0.6, 0.7, 0.7)
PYRAMID_FACTOR = 0.709


class Faces(NamedTuple):
    """The faces found in one image: `boxes` (N, 5) and `points` (10, N), in pixels."""

    boxes: np.ndarray
    points: np.ndarray

    def landmark(self, index: int) -> np.ndarray:
        """The landmark (5, 2) of one face."""
        return self.points[:, index].reshape(2, 5).T


class Detector(Protocol):
    """Finds faces in a list of images, uint8 (H, W, 3) RGB of any sizes."""

    def find(self, images: Sequence[np.ndarray], smallest: Sequence[int]) -> list[Faces]:
        """The faces of at least `smallest` pixels in each image, best score first."""

    def force(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Faces]:
        """The face in a box (4,) of each image, whatever its score; at most one."""


class MtcnnDetector(NamedTuple):
    """MTCNN as a `Detector`, one image after the other.

    The fields are its networks, callables as returned by `create_mtcnn`.
    """

    pnet: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    rnet: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    onet: Callable[[np.ndarray], tuple[np.ndarray, ...]]

    @classmethod
    def create(
        cls, model_path: str | None = None, context: mx.Context | None = None
    ) -> MtcnnDetector:
        """A detector with the weights in a folder, or those of the package `mtcnn`."""
        return cls(*create_mtcnn(context, model_path))

    def find(self, images: Sequence[np.ndarray], smallest: Sequence[int]) -> list[Faces]:
        """See `Detector`."""
        return [
            Faces(*detect_face(image, minsize, *self, THRESHOLDS, PYRAMID_FACTOR))
            for image, minsize in zip(images, smallest, strict=True)
        ]

    def force(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Faces]:
        """See `Detector`."""
        return [
            Faces(*detect_face_force(image, box, *self))
            for image, box in zip(images, boxes, strict=True)
        ]


class TunedMtcnn(NamedTuple):
    """MTCNN with other thresholds and another step between the scales of its pyramid."""

    mtcnn: MtcnnDetector
    thresholds: tuple[float, float, float]
    factor: float

    def find(self, images: Sequence[np.ndarray], smallest: Sequence[int]) -> list[Faces]:
        """See `Detector`."""
        return [
            Faces(*detect_face(image, minsize, *self.mtcnn, self.thresholds, self.factor))
            for image, minsize in zip(images, smallest, strict=True)
        ]

    def force(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Faces]:
        """See `Detector`."""
        return self.mtcnn.force(images, boxes)
