"""The interface of a face detector for alignment, and MTCNN as such a detector.

Another detector, for example one that puts many photos through its networks at once, is a class
with the two methods of `Detector`; `src.align.ladder` only uses these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from src.align.detection import Net, detect_faces, force_faces
from src.align.mtcnn_networks import create_networks
from src.align.settings import PYRAMID_FACTOR, THRESHOLDS
from src.common.mxnet_backend import mx


class Found(NamedTuple):
    """One face in a photo.

    Attributes
    ----------
    box
        (4,), pixels.
    score
        0..1
    landmark
        float32 (5, 2), pixels.
    """

    box: np.ndarray
    score: float
    landmark: np.ndarray

    def numbers(self) -> list[float]:
        """Box, score, five x, five y, as short as they can be written.

        A box keeps three decimals, cut off, so that its whole pixels stay the same.
        """
        box = np.fix(np.asarray(self.box, np.float64) * 1000) / 1000
        points = np.asarray(self.landmark, np.float32).T.ravel()
        # The shortest text of each float32 is read back as the same float32.
        short = [float(str(point)) for point in points]
        return [*box.tolist(), round(float(self.score), 6), *short]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Found:
        """The face that `numbers` describe."""
        box, points = np.array(numbers[:4]), np.array(numbers[5:], np.float32)
        return cls(box, numbers[4], points.reshape(2, 5).T)


class Faces(NamedTuple):
    """The faces found in one image: `boxes` (N, 5) and `points` (10, N), in pixels."""

    boxes: np.ndarray
    points: np.ndarray

    def landmark(self, index: int) -> np.ndarray:
        """The landmark (5, 2) of one face."""
        return self.points[:, index].reshape(2, 5).T

    def found(self, index: int) -> Found:
        """One face."""
        box = self.boxes[index]
        return Found(box[:4], float(box[4]), self.landmark(index))


class Detector(Protocol):
    """Finds faces in a list of images, uint8 (H, W, 3) RGB of any sizes."""

    def find(self, images: Sequence[np.ndarray], smallest: Sequence[float]) -> list[Faces]:
        """The faces of at least `smallest` pixels in each image, best score first."""

    def force(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Faces]:
        """The face in a box (4,) of each image, whatever its score; at most one."""


@dataclass(frozen=True)
class MtcnnDetector:
    """MTCNN as a `Detector`; the result for an image does not depend on the others.

    Attributes
    ----------
    pnet, rnet, onet
        Callables as returned by `create_networks`.
    thresholds
        Scores that a box must exceed in each network.
    factor
        Ratio of successive scales of the pyramid, below 1.
    """

    pnet: Net
    rnet: Net
    onet: Net
    thresholds: tuple[float, float, float] = THRESHOLDS
    factor: float = PYRAMID_FACTOR

    @classmethod
    def create(
        cls, model_path: str | None = None, context: mx.Context | None = None
    ) -> MtcnnDetector:
        """A detector with the weights in a folder, or those of the package `mtcnn`."""
        return cls(*create_networks(context, model_path))

    @property
    def networks(self) -> tuple[Net, Net, Net]:
        """(pnet, rnet, onet)"""
        return self.pnet, self.rnet, self.onet

    def find(self, images: Sequence[np.ndarray], smallest: Sequence[float]) -> list[Faces]:
        """See `Detector`."""
        found = detect_faces(images, smallest, *self.networks, self.thresholds, self.factor)
        return [Faces(*each) for each in found]

    def force(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Faces]:
        """See `Detector`."""
        return [Faces(*each) for each in force_faces(images, boxes, self.rnet, self.onet)]
