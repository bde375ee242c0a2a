"""Boxes of the face detector: proposals from score maps, suppression, calibration, crops.

Corners are inclusive: a box is x2 - x1 + 1 wide. Names with capitals are from 2018.
"""

from collections.abc import Sequence

import cv2
import numpy as np

# PNet looks at cells of 12×12 pixels, with a stride of 2.
_CELL, _STRIDE = 12, 2


def pyramid_scales(height: int, width: int, minsize: float, factor: float) -> list[float]:
    """Scales at which faces of at least `minsize` pixels fill PNet's cell, largest first.

    Parameters
    ----------
    height, width
        Of the photo.
    minsize
        Smallest face to look for, in pixels.
    factor
        Ratio of successive scales, below 1.

    Returns
    -------
    scales
        Empty if the photo is smaller than `minsize`.
    """
    first = _CELL / minsize
    shortest = min(height, width) * first
    scales: list[float] = []
    while shortest >= _CELL:
        scales.append(first * np.power(factor, len(scales)))
        shortest *= factor
    return scales


def generateBoundingBox(
    imap: np.ndarray, reg: np.ndarray, scale: float, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of the cells whose score is at least `t`.

    Parameters
    ----------
    imap
        (H, W), probability of a face in each cell.
    reg
        (H, W, 4), offsets of x1, y1, x2, y2 as fractions of the box size.
    scale
        Scale of PNet's input relative to the photo.

    Returns
    -------
    boundingbox
        float64 (N, 9): x1, y1, x2, y2 in the photo, score, four offsets; ordered by column, then
        row.
    reg
        (N, 4), the same offsets.
    """
    columns, rows = np.nonzero(t <= imap.T)
    offset_columns = columns
    if len(columns) == 1:
        # 2018: a single cell gets the offsets of its mirror image (left and right swapped).
        offset_columns = imap.shape[1] - 1 - columns
    offsets = reg[rows, offset_columns]
    cells = _STRIDE * np.stack([columns, rows], axis=1)
    top_left = np.fix((cells + 1) / scale)
    bottom_right = np.fix((cells + _CELL) / scale)
    score = imap[rows, columns][:, None]
    return np.hstack([top_left, bottom_right, score, offsets]), offsets


def bbreg(boundingbox: np.ndarray, reg: np.ndarray) -> np.ndarray:
    """Boxes moved by their offsets, in place.

    Parameters
    ----------
    boundingbox
        (N, 4 or more)
    reg
        (N, 4), offsets of x1, y1, x2, y2 as fractions of the box's width (x) or height (y).
    """
    width = boundingbox[:, 2] - boundingbox[:, 0] + 1
    height = boundingbox[:, 3] - boundingbox[:, 1] + 1
    boundingbox[:, :4] += reg * np.stack([width, height, width, height], axis=1)
    return boundingbox


def rerec(bboxA: np.ndarray) -> np.ndarray:
    """Boxes (N, 4 or more) made square around their centre, in place; the longer side is kept."""
    width = bboxA[:, 2] - bboxA[:, 0]
    height = bboxA[:, 3] - bboxA[:, 1]
    side = np.maximum(width, height)
    # The order of operations matters: corners are truncated to integers later, so an ulp counts.
    bboxA[:, 0] = bboxA[:, 0] + width * 0.5 - side * 0.5
    bboxA[:, 1] = bboxA[:, 1] + height * 0.5 - side * 0.5
    bboxA[:, 2:4] = bboxA[:, :2] + side[:, None]
    return bboxA


def pad(
    total_boxes: np.ndarray, w: int | np.ndarray, h: int | np.ndarray
) -> tuple[np.ndarray, ...]:
    """The part of each box that lies inside the photo, in pixels counted from 1.

    Parameters
    ----------
    total_boxes
        (N, 4 or more)
    w, h
        Of the photo, or (N,) of the photo of each box.

    Returns
    -------
    dy, edy, dx, edx
        int32 (N,) each: first and last row, first and last column of that part within the box.
    y, ey, x, ex
        The same within the photo.
    tmpw, tmph
        int32 (N,) each: width and height of the box.
    """
    sides = total_boxes[:, 2:4] - total_boxes[:, :2] + 1
    tmpw, tmph = sides.astype(np.int32).T
    corners = total_boxes[:, :4].astype(np.int32)
    dx, x, edx, ex = _pad_one_axis(corners[:, 0], corners[:, 2], tmpw, w)
    dy, y, edy, ey = _pad_one_axis(corners[:, 1], corners[:, 3], tmph, h)
    return dy, edy, dx, edx, y, ey, x, ex, tmpw, tmph


def _pad_one_axis(
    first: np.ndarray, last: np.ndarray, length: np.ndarray, limit: int | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(first in box, first in photo, last in box, last in photo), counted from 1."""
    over_start = np.maximum(1 - first, 0)
    over_end = np.maximum(last - limit, 0)
    return 1 + over_start, first + over_start, length - over_end, last - over_end


def imresample(img: np.ndarray, sz: Sequence[int]) -> np.ndarray:
    """The image resized to `sz` (height, width); each pixel is the mean of the area it covers."""
    return cv2.resize(img, (sz[1], sz[0]), interpolation=cv2.INTER_AREA)


def crop_batch(
    images: Sequence[np.ndarray], owner: np.ndarray, boxes: np.ndarray, side: int
) -> np.ndarray:
    """Crops of the boxes, resized for RNet or ONet; float32 (N, side, side, 3), -1..1.

    Parameters
    ----------
    images
        (H, W, 3) each, RGB, 0..255.
    owner
        int (N,), the image of each box.
    boxes
        (N, 4 or more), with integer values. Pixels outside the photo are black.
    side
        24 or 48.
    """
    sizes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
    heights, widths = sizes[owner].T
    dy, edy, dx, edx, y, ey, x, ex, width, height = pad(boxes, widths, heights)
    inside = (width >= 1) & (height >= 1) & (ey >= 0) & (ex >= 0)
    whole = inside & (dy == 1) & (dx == 1) & (edy == height) & (edx == width)
    crops = np.zeros((len(boxes), side, side, 3), dtype=np.float32)
    rows = zip(owner, y - 1, ey, x - 1, ex, dy - 1, edy, dx - 1, edx, height, width, strict=True)
    for index, (photo, top, bottom, left, right, *place) in enumerate(rows):
        if not inside[index]:
            continue  # calibration turned the box inside out, or it is aside: its crop stays black
        crop = images[photo][top:bottom, left:right].astype(np.float32)
        if not whole[index]:
            crop = _surrounded(crop, *place)
        cv2.resize(crop, (side, side), dst=crops[index], interpolation=cv2.INTER_AREA)
    return normalised(crops)


def _surrounded(
    seen: np.ndarray, top: int, bottom: int, left: int, right: int, height: int, width: int
) -> np.ndarray:
    """The visible part of a crop within black, float32 (height, width, 3)."""
    crop = np.zeros((height, width, 3), dtype=np.float32)
    if seen.size:
        crop[top:bottom, left:right] = seen
    return crop


def normalised(pixels: np.ndarray) -> np.ndarray:
    """Pixels 0..255 scaled to -1..1, as in the training of the networks; float32."""
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(0.0078125)
