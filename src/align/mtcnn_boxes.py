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


def nms(boxes: np.ndarray, threshold: float, method: str) -> np.ndarray:
    """Greedy non-maximum suppression; returns the kept rows, best score first.

    Parameters
    ----------
    boxes
        (N, 5 or more), columns x1, y1, x2, y2, score; corners are inclusive (width = x2 - x1 + 1).
    threshold
        A box overlapping a kept one by more than this is dropped.
    method
        'Union' or 'Min': overlap relative to the union, or to the smaller of the two boxes.

    Returns
    -------
    pick
        int64 (K,); empty for N = 0. Equal scores keep NumPy's argsort order, as in 2018.
    """
    if method not in ("Union", "Min"):
        raise ValueError(f"method {method!r}: expected 'Union' or 'Min'")
    if len(boxes) == 0:
        return np.empty(0, dtype=np.int64)
    left, top, right, bottom = boxes[:, :4].T
    area = (right - left + 1) * (bottom - top + 1)
    rest = _argsort_2018(boxes[:, 4])
    pick = []
    while rest.size:
        best, rest = rest[-1], rest[:-1]
        pick.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        shared = np.maximum(0.0, width) * np.maximum(0.0, height)
        if method == "Min":
            overlap = shared / np.minimum(area[best], area[rest])
        else:
            overlap = shared / (area[best] + area[rest] - shared)
        rest = rest[overlap <= threshold]
    return np.array(pick, dtype=np.int64)


def _argsort_2018(scores: np.ndarray) -> np.ndarray:
    """Rows by ascending score; equal scores in the order in which NumPy's introsort leaves them.

    Boxes of clear faces often have the same score, 1. Since NumPy 1.25, `argsort` uses another
    algorithm for float64 on processors with AVX-512 and orders them differently, which changed 4 of
    163 faces of Labeled Faces in the Wild. For long doubles it uses the old one everywhere.
    """
    return np.argsort(scores.astype(np.longdouble))


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


def pad(total_boxes: np.ndarray, w: int, h: int) -> tuple[np.ndarray, ...]:
    """The part of each box that lies inside the photo, in pixels counted from 1.

    Parameters
    ----------
    total_boxes
        (N, 4 or more)
    w, h
        Of the photo.

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
    first: np.ndarray, last: np.ndarray, length: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(first in box, first in photo, last in box, last in photo), counted from 1."""
    over_start = np.maximum(1 - first, 0)
    over_end = np.maximum(last - limit, 0)
    return 1 + over_start, first + over_start, length - over_end, last - over_end


def imresample(img: np.ndarray, sz: Sequence[int]) -> np.ndarray:
    """The image resized to `sz` (height, width); each pixel is the mean of the area it covers."""
    return cv2.resize(img, (sz[1], sz[0]), interpolation=cv2.INTER_AREA)


def crop_batch(image: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """Crops of the boxes, resized for RNet or ONet; float32 (N, side, side, 3), -1..1.

    Parameters
    ----------
    image
        (H, W, 3), RGB, 0..255.
    boxes
        (N, 4 or more), with integer values. Pixels outside the photo are black.
    side
        24 or 48.
    """
    photo_height, photo_width = image.shape[:2]
    dy, edy, dx, edx, y, ey, x, ex, width, height = pad(boxes, photo_width, photo_height)
    crops = np.zeros((len(boxes), side, side, 3), dtype=np.float32)
    for index in range(len(boxes)):
        if width[index] < 1 or height[index] < 1:
            continue  # calibration turned the box inside out; its crop stays black
        # The ends are negative for a box to the left of the photo or above it.
        seen = image[y[index] - 1 : max(ey[index], 0), x[index] - 1 : max(ex[index], 0)]
        if seen.shape[:2] == (height[index], width[index]):
            crop = seen.astype(np.float32)
        else:
            crop = np.zeros((height[index], width[index], 3), dtype=np.float32)
            if seen.size:
                crop[dy[index] - 1 : edy[index], dx[index] - 1 : edx[index]] = seen
        crops[index] = imresample(crop, (side, side))
    return normalised(crops)


def normalised(pixels: np.ndarray) -> np.ndarray:
    """Pixels 0..255 scaled to -1..1, as in the training of the networks; float32."""
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(0.0078125)
