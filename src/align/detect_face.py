"""Face detection with MTCNN: boxes and five landmarks of the faces in a photo.

The functions of 2018, by their names. Photos are RGB, 0..255; boxes are x1 y1 x2 y2 score; points
are five x, then five y: left eye, right eye, nose, left and right mouth corner.
"""

import numpy as np

from src.align.mtcnn_boxes import (
    bbreg,
    crop_batch,
    generateBoundingBox,
    imresample,
    nms,
    normalised,
    pad,
    pyramid_scales,
    rerec,
)
from src.align.mtcnn_networks import create_networks

__all__ = [
    "bbreg",
    "bulk_detect_face",
    "create_mtcnn",
    "detect_face",
    "detect_face_force",
    "generateBoundingBox",
    "imresample",
    "nms",
    "pad",
    "rerec",
]


def create_mtcnn(sess, model_path):
    """The three networks (pnet, rnet, onet) that the other functions take.

    Parameters
    ----------
    sess : None or mx.Context
        Where they run; the CPU if None. 2018: a TensorFlow session.
    model_path : str or None
        Folder with det1.npy, det2.npy, det3.npy; None for the weights of the package `mtcnn`.

    Raises
    ------
    FileNotFoundError, InputError
        The weights are missing or not those of the detector.
    """
    return create_networks(sess, model_path)


def detect_face(img, minsize, pnet, rnet, onet, threshold, factor):
    """Boxes and landmarks of the faces in a photo.

    Parameters
    ----------
    img : uint8 ndarray of shape (H, W, 3)
        RGB.
    minsize : int
        Smallest face looked for, in pixels.
    pnet, rnet, onet : callable
        Of `create_mtcnn`.
    threshold : sequence of 3 floats
        Scores that a box must pass in the three networks.
    factor : float
        Between the scales of the pyramid.

    Returns
    -------
    boxes : float64 ndarray of shape (N, 5)
        Surest first; (0, 5) without a face.
    points : float32 ndarray of shape (10, N)
    """
    boxes = _propose(img, minsize, pnet, threshold[0], factor)
    if len(boxes):
        boxes = _refine(img, boxes, rnet, threshold[1])
    if len(boxes):
        return _finish(img, boxes, onet, threshold[2])
    return _no_faces()


def detect_face_force(img, bbox, pnet, rnet, onet):
    """Box and landmarks of the face that is known to be in a box; PNet is not asked.

    Parameters
    ----------
    img : uint8 ndarray of shape (H, W, 3)
        RGB.
    bbox : array_like of shape (4,)
    pnet, rnet, onet : callable
        Of `create_mtcnn`.

    Returns
    -------
    boxes : float64 ndarray of shape (1, 5), points : float32 ndarray of shape (10, 1)
        Whatever the score; (0, 5) and (10, 0) only where it is 0.
    """
    # 2018: single precision up to ONet, which decides on which side of a pixel a corner falls.
    boxes = np.zeros((1, 5), dtype=np.float32)
    boxes[0, :4] = bbox
    boxes = _refine(img, boxes, rnet, 0.0)
    return _finish(img, boxes, onet, 0.0) if len(boxes) else _no_faces()


def bulk_detect_face(images, detection_window_size_ratio, pnet, rnet, onet, threshold, factor):
    """Faces in several photos; pyramid levels of equal size, and all crops, share a batch.

    Parameters
    ----------
    images : sequence of uint8 ndarray of shape (H, W, 3)
        RGB, of any sizes.
    detection_window_size_ratio : float
        Smallest face as a part of the photo's shorter side; at least 12 pixels.
    pnet, rnet, onet, threshold, factor
        As for `detect_face`.

    Returns
    -------
    faces : list of (boxes, points) or None
        One for each photo, as of `detect_face`; None without a face.
    """
    proposals = _propose_in_all(images, detection_window_size_ratio, pnet, threshold[0], factor)
    refined = _in_one_batch(images, proposals, rnet, 24, threshold[1], _keep_refined)
    finished = _in_one_batch(images, refined, onet, 48, threshold[2], _keep_finished)
    return [found if found is not None and len(found[0]) else None for found in finished]


# ---------------------------------------------------------------------------------- first stage


def _propose(img, minsize, pnet, threshold, factor):
    """PNet's boxes, square and of whole pixels, (N, 5)."""
    height, width = img.shape[:2]
    levels = []
    for scale in pyramid_scales(height, width, minsize, factor):
        level = _pyramid_level(img, scale)
        offsets, probability = pnet(level[None].transpose(0, 2, 1, 3))
        levels.append(_level_boxes(offsets[0], probability[0], scale, threshold))
    return _merge_levels(levels)


def _propose_in_all(images, ratio, pnet, threshold, factor):
    """As `_propose` for each photo, a list; levels of equal size go through PNet together."""
    by_size = {}
    for index, img in enumerate(images):
        height, width = img.shape[:2]
        minsize = max(int(ratio * min(height, width)), 12)
        for order, scale in enumerate(pyramid_scales(height, width, minsize, factor)):
            level = _pyramid_level(img, scale)
            by_size.setdefault(level.shape, []).append((index, order, scale, level))
    levels = [{} for _ in images]
    for same_size in by_size.values():
        batch = np.stack([level for *_, level in same_size])
        all_offsets, all_probability = pnet(batch.transpose(0, 2, 1, 3))
        for row, (index, order, scale, _) in enumerate(same_size):
            levels[index][order] = _level_boxes(
                all_offsets[row], all_probability[row], scale, threshold
            )
    return [_merge_levels([found[order] for order in sorted(found)]) for found in levels]


def _pyramid_level(img, scale):
    """The photo at a scale, normalised, float32 (h, w, 3)."""
    height, width = img.shape[:2]
    size = int(np.ceil(height * scale)), int(np.ceil(width * scale))
    return normalised(imresample(img, size))


def _level_boxes(offsets, probability, scale, threshold):
    """Boxes (N, 9) of one pyramid level from PNet's outputs (w, h, 4) and (w, h, 2)."""
    boxes, _ = generateBoundingBox(
        probability[:, :, 1].T, offsets.transpose(1, 0, 2), scale, threshold
    )
    return boxes[nms(boxes, 0.5, "Union")]


def _merge_levels(levels):
    """All levels' boxes (N, 9), suppressed, moved by their offsets and made square, (N, 5)."""
    boxes = np.concatenate(levels) if levels else np.empty((0, 9))
    boxes = boxes[nms(boxes, 0.7, "Union")]
    # 2018: here, unlike in the later stages, the width is x2 - x1 without the one.
    sides = boxes[:, 2:4] - boxes[:, :2]
    moved = boxes[:, :4] + boxes[:, 5:9] * np.tile(sides, 2)
    merged = rerec(np.hstack([moved, boxes[:, 4:5]]))
    merged[:, :4] = np.fix(merged[:, :4])
    return merged


# ---------------------------------------------------------------------------------- later stages


def _refine(img, boxes, rnet, threshold):
    """RNet's boxes (N, 5), square."""
    crops = crop_batch(img, np.fix(boxes), 24)
    return _keep_refined(boxes, rnet(crops.transpose(0, 2, 1, 3)), threshold)


def _keep_refined(boxes, outputs, threshold):
    offsets, probability = outputs
    boxes, passed = _rescored(boxes, probability, threshold)
    pick = nms(boxes, 0.7, "Union")
    return rerec(bbreg(boxes[pick], offsets[passed][pick]))


def _finish(img, boxes, onet, threshold):
    """ONet's boxes (N, 5) and points (10, N)."""
    crops = crop_batch(img, np.fix(boxes), 48)
    return _keep_finished(boxes, onet(crops.transpose(0, 2, 1, 3)), threshold)


def _keep_finished(boxes, outputs, threshold):
    offsets, landmarks, probability = outputs
    boxes, passed = _rescored(np.fix(boxes).astype(np.int32), probability, threshold)
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    # (N, 5) each; 2018: points are kept in single precision.
    x = sides[:, :1] * landmarks[passed, :5] + boxes[:, :1] - 1
    y = sides[:, 1:] * landmarks[passed, 5:] + boxes[:, 1:2] - 1
    points = np.hstack([x, y]).astype(np.float32).T
    boxes = bbreg(boxes, offsets[passed])
    pick = nms(boxes, 0.7, "Min")
    return boxes[pick], points[:, pick]


def _rescored(boxes, probability, threshold):
    """(the boxes whose new score passes, with that score; their rows)."""
    score = probability[:, 1]
    passed = np.flatnonzero(score > threshold)
    return np.hstack([boxes[passed, :4], score[passed, None]]), passed


def _in_one_batch(images, found, network, side, threshold, keep):
    """Applies `network` to the boxes of all photos at once, and `keep` photo by photo.

    `found` holds the boxes of each photo; None or no boxes gives None.
    """
    with_boxes = [index for index, boxes in enumerate(found) if boxes is not None and len(boxes)]
    kept = [None] * len(images)
    if not with_boxes:
        return kept
    crops = [crop_batch(images[index], np.fix(found[index]), side) for index in with_boxes]
    outputs = network(np.concatenate(crops).transpose(0, 2, 1, 3))
    ends = np.cumsum([len(crop) for crop in crops])
    for index, end, crop in zip(with_boxes, ends, crops, strict=True):
        rows = slice(end - len(crop), end)
        kept[index] = keep(found[index], [output[rows] for output in outputs], threshold)
    return kept


def _no_faces():
    return np.empty((0, 5)), np.empty((10, 0), dtype=np.float32)
