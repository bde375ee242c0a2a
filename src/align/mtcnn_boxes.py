"""Boxes of the face detector: proposals from score maps, suppression, calibration, crops.

Corners are inclusive: a box is x2 - x1 + 1 wide. Names with capitals are those of 2018.
"""

import cv2
import numpy as np

# PNet looks at cells of 12 pixels, 2 apart.
_CELL, _STRIDE = 12, 2


def pyramid_scales(height, width, minsize, factor):
    """Scales at which a face of at least `minsize` pixels fills PNet's cell, largest first.

    Parameters
    ----------
    height, width : int
        Of the photo.
    minsize : int
        Smallest face wanted, in pixels.
    factor : float
        From one scale to the next, below 1.

    Returns
    -------
    scales : list of float
        Empty where the photo is smaller than `minsize`.
    """
    first = _CELL / minsize
    shortest = min(height, width) * first
    scales = []
    while shortest >= _CELL:
        scales.append(first * np.power(factor, len(scales)))
        shortest *= factor
    return scales


def generateBoundingBox(imap, reg, scale, t):
    """Boxes of the cells whose score reaches `t`.

    Parameters
    ----------
    imap : ndarray of shape (H, W)
        Probability of a face in each cell.
    reg : ndarray of shape (H, W, 4)
        Offsets of x1, y1, x2, y2, as parts of the box.
    scale : float
        Of the photo that PNet saw.
    t : float

    Returns
    -------
    boundingbox : float64 ndarray of shape (N, 9)
        x1, y1, x2, y2 in the whole photo, score, four offsets; ordered by column, then row.
    reg : ndarray of shape (N, 4)
    """
    columns, rows = np.nonzero(t <= imap.T)
    offset_columns = columns
    if len(columns) == 1:
        # 2018: for a single cell the offsets are those of its mirror image, left and right.
        offset_columns = imap.shape[1] - 1 - columns
    offsets = reg[rows, offset_columns]
    cells = _STRIDE * np.stack([columns, rows], axis=1)
    top_left = np.fix((cells + 1) / scale)
    bottom_right = np.fix((cells + _CELL) / scale)
    score = imap[rows, columns][:, None]
    return np.hstack([top_left, bottom_right, score, offsets]), offsets


def nms(boxes, threshold, method):
    """Greedy non-maximum suppression; returns the kept rows, best score first.

    Parameters
    ----------
    boxes : ndarray of shape (N, 5 or more)
        Columns x1, y1, x2, y2, score; corners are inclusive (width = x2 - x1 + 1).
    threshold : float
        A box overlapping a kept one by more than this is dropped.
    method : {'Union', 'Min'}
        Overlap relative to the union, or to the smaller of the two boxes.

    Returns
    -------
    pick : int64 ndarray of shape (K,)
        Empty for N = 0. Equal scores keep NumPy's argsort order, as in 2018.
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


def _argsort_2018(scores):
    """Rows by rising score; equal ones in the order that NumPy's introsort leaves them in.

    Sure boxes often share the score 1. Since NumPy 1.25 `argsort` takes another algorithm for
    float64 on processors with AVX-512, which orders them otherwise: 4 of 163 faces of Labeled Faces
    in the Wild came out differently. For long doubles it is the old one everywhere.
    """
    return np.argsort(scores.astype(np.longdouble))


def bbreg(boundingbox, reg):
    """Boxes moved by their offsets, in place.

    Parameters
    ----------
    boundingbox : ndarray of shape (N, 4 or more)
    reg : ndarray of shape (N, 4)
        Parts of the box's width (x) and height (y).
    """
    width = boundingbox[:, 2] - boundingbox[:, 0] + 1
    height = boundingbox[:, 3] - boundingbox[:, 1] + 1
    boundingbox[:, :4] += reg * np.stack([width, height, width, height], axis=1)
    return boundingbox


def rerec(bboxA):
    """Boxes made square around their middle, in place; the longer side stays.

    Parameters
    ----------
    bboxA : ndarray of shape (N, 4 or more)
    """
    width = bboxA[:, 2] - bboxA[:, 0]
    height = bboxA[:, 3] - bboxA[:, 1]
    side = np.maximum(width, height)
    # In this order of operations: the corners are cut to whole pixels later, where an ulp matters.
    bboxA[:, 0] = bboxA[:, 0] + width * 0.5 - side * 0.5
    bboxA[:, 1] = bboxA[:, 1] + height * 0.5 - side * 0.5
    bboxA[:, 2:4] = bboxA[:, :2] + side[:, None]
    return bboxA


def pad(total_boxes, w, h):
    """Where boxes that reach over the edge meet the photo, counted from 1.

    Parameters
    ----------
    total_boxes : ndarray of shape (N, 4 or more)
    w, h : int
        Of the photo.

    Returns
    -------
    dy, edy, dx, edx : int32 ndarray of shape (N,)
        First and last row and column of the photo's part within the box.
    y, ey, x, ex : int32 ndarray of shape (N,)
        The same within the photo.
    tmpw, tmph : int32 ndarray of shape (N,)
        Width and height of the box.
    """
    sides = total_boxes[:, 2:4] - total_boxes[:, :2] + 1
    tmpw, tmph = sides.astype(np.int32).T
    corners = total_boxes[:, :4].astype(np.int32)
    dx, x, edx, ex = _pad_one_axis(corners[:, 0], corners[:, 2], tmpw, w)
    dy, y, edy, ey = _pad_one_axis(corners[:, 1], corners[:, 3], tmph, h)
    return dy, edy, dx, edx, y, ey, x, ex, tmpw, tmph


def _pad_one_axis(first, last, length, limit):
    """(first in box, first in photo, last in box, last in photo), counted from 1."""
    over_start = np.maximum(1 - first, 0)
    over_end = np.maximum(last - limit, 0)
    return 1 + over_start, first + over_start, length - over_end, last - over_end


def imresample(img, sz):
    """The image resized to `sz` (height, width), each pixel the mean of the area it covers."""
    return cv2.resize(img, (sz[1], sz[0]), interpolation=cv2.INTER_AREA)


def crop_batch(image, boxes, side):
    """Boxes cut out and resized for RNet or ONet.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3)
        RGB, 0..255.
    boxes : ndarray of shape (N, 4 or more)
        Whole numbers; outside the photo all is black.
    side : int
        24 or 48.

    Returns
    -------
    crops : float32 ndarray of shape (N, side, side, 3)
        Scaled to -1..1.
    """
    photo_height, photo_width = image.shape[:2]
    dy, edy, dx, edx, y, ey, x, ex, width, height = pad(boxes, photo_width, photo_height)
    crops = np.zeros((len(boxes), side, side, 3), dtype=np.float32)
    for index in range(len(boxes)):
        if width[index] < 1 or height[index] < 1:
            continue  # a box that calibration turned inside out shows nothing
        # The ends are negative for a box that lies wholly before the photo.
        seen = image[y[index] - 1 : max(ey[index], 0), x[index] - 1 : max(ex[index], 0)]
        if seen.shape[:2] == (height[index], width[index]):
            crop = seen.astype(np.float32)
        else:
            crop = np.zeros((height[index], width[index], 3), dtype=np.float32)
            if seen.size:
                crop[dy[index] - 1 : edy[index], dx[index] - 1 : edx[index]] = seen
        crops[index] = imresample(crop, (side, side))
    return normalised(crops)


def normalised(pixels):
    """0..255 to -1..1, as the nets were trained."""
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(0.0078125)
