"""A photo on its way to an aligned face."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from src.align.detector import Found
from src.common.errors import InputError


@dataclass
class Photo:
    """A photo that is being aligned.

    Attributes
    ----------
    image
        uint8 (H, W, 3), RGB
    bbox
        (4,), or None if it is unknown.
    landmark
        (3 or 5, 2), eyes and nose first, or None if it is unknown.
    found
        The face that was detected and is aligned, in pixels of the photo; None without one.
    face
        uint8 (height, width, 3), the aligned face; None until it is found.
    way
        Number of the way that found the face, in the style's `ways`.
    reason
        Why the photo is skipped; '' if it is not.
    """

    image: np.ndarray
    bbox: np.ndarray | None = None
    landmark: np.ndarray | None = None
    found: Found | None = None
    face: np.ndarray | None = None
    way: int | None = None
    reason: str = ""

    @property
    def waiting(self) -> bool:
        """Whether another way has to be tried."""
        return self.face is None and not self.reason

    @contextlib.contextmanager
    def skipped_on_error(self) -> Iterator[None]:
        """Turns an error from OpenCV or the template into the reason to skip this photo."""
        try:
            yield
        except cv2.error as error:  # OpenCV accepts no photo wider than 32,767 pixels
            self.reason = f"OpenCV rejects it: {error.err}"
        except InputError as error:  # landmarks that the detector put on one point
            self.reason = str(error)
