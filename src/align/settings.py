"""What aligned faces depend on, in addition to the photos."""

from typing import NamedTuple

THRESHOLDS = (0.6, 0.7, 0.7)
PYRAMID_FACTOR = 0.709
SMALLEST_FACE = 100
"""Pixels; the smallest face that is detected in a photo whose box or landmarks are unknown."""


class Settings(NamedTuple):
    """What the aligned faces depend on, in addition to the photos.

    A new setting needs a default that leaves the faces as they were before. It is checked against
    finished outcomes by its name.

    Attributes
    ----------
    image_size
        Height, width of the faces.
    keep_undetected
        Whether a photo without a face is used too.
    det_model
        Folder with the detector's weights; None for those of the package `mtcnn`.
    face
        Which of several faces; a key of `src.align.ladder.FACE_CHOICES`.
    style
        A key of `src.align.styles.STYLES`.
    min_size
        Pixels; the smallest face to look for.
    thresholds
        Scores that a face must exceed in each of the detector's three networks.
    factor
        Ratio of successive scales at which faces are looked for, below 1.
    """

    image_size: tuple[int, int] = (112, 112)
    keep_undetected: bool = False
    det_model: str | None = None
    face: str = "first"
    style: str = "megaface"
    min_size: float = SMALLEST_FACE
    thresholds: tuple[float, float, float] = THRESHOLDS
    factor: float = PYRAMID_FACTOR


SMALL_FACES = {"min_size": 20, "thresholds": (0.6, 0.7, 0.9), "factor": 0.85}
"""Settings of 2018's scripts for photos of one person each, such as those of LFW."""
