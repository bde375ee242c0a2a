"""2018's `face_preprocess.preprocess`: one face of one photo.

It estimates the transform by scikit-image, as in 2018. The versions of today round differently:
faces are within 2 grey levels of 2018's. `template.warp_to_template` gives 2018's exactly; packing
and alignment use that.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from skimage.transform import SimilarityTransform

from src.align.template import SMALLEST_VARIANCE, crop_to_box, template_for
from src.common.arguments import parse_image_size
from src.common.errors import InputError
from src.common.photos import read_image


def preprocess(
    img: np.ndarray | str,
    bbox: Sequence[float] | np.ndarray | None = None,
    landmark: Sequence[Sequence[float]] | np.ndarray | None = None,
    image_size: str = "",
    margin: int = 44,
    **read_arguments: Any,
) -> np.ndarray:
    """The face in a photo: aligned by its landmarks, otherwise cropped and resized.

    Parameters
    ----------
    img
        uint8 (H, W, 3), or the path of a photo, which is read by `read_image` with the remaining
        arguments.
    bbox
        (4,): cropped if there are no landmarks. Without either, the middle of the photo is taken.
    landmark
        (5, 2)
    image_size
        'height,width'; '' keeps the size of a crop, and means 112,112 with landmarks.
    margin
        See `src.align.template.crop_to_box`.

    Raises
    ------
    InputError
        The box lies outside the photo, the landmarks are degenerate, or the photo is unreadable.
    """
    if isinstance(img, str):
        img = read_image(img, **read_arguments)
    if landmark is None:
        return crop_to_box(img, bbox, parse_image_size(image_size) if image_size else None, margin)
    height, width = parse_image_size(image_size or "112,112")
    source = np.asarray(landmark, dtype=np.float32)
    transform = SimilarityTransform()
    with np.errstate(over="ignore", invalid="ignore"):
        variance = source.var(axis=0).sum()
    differ = SMALLEST_VARIANCE <= variance < math.inf  # False for NaN too
    if not differ or not transform.estimate(source, template_for((height, width))):
        raise InputError(f"degenerate landmarks {source.tolist()}: five different points expected")
    return cv2.warpAffine(img, transform.params[:2], (width, height), borderValue=0.0)
