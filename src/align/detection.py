"""Face detection with MTCNN in many photos at once.

Photos are RGB, 0..255; boxes are x1 y1 x2 y2 score; points are five x, then five y: left eye, right
eye, nose, left and right mouth corner.
"""

from collections.abc import Callable, Sequence

import numpy as np

from src.align.mtcnn_boxes import (
    bbreg,
    crop_batch,
    generateBoundingBox,
    imresample,
    normalised,
    pyramid_scales,
    rerec,
)
from src.align.mtcnn_networks import Maps, ProposalNetwork
from src.align.suppression import nms_in_groups

Net = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""One of the networks of `create_mtcnn`, whose classes describe input and outputs."""

Detected = tuple[np.ndarray, np.ndarray]
"""Boxes (N, 5) and points (10, N) of the N faces in a photo."""

CROPS_AT_ONCE = 512  # in memory: 14 MB of ONet's


def detect_faces(
    images: Sequence[np.ndarray],
    minsizes: Sequence[float],
    pnet: Net,
    rnet: Net,
    onet: Net,
    threshold: Sequence[float],
    factor: float,
) -> list[Detected]:
    """(boxes, points) of each photo as from `detect_face`; photos of any sizes are put together.

    The result for a photo does not depend on the others.
    """
    boxes, owner = _propose(images, minsizes, pnet, threshold[0], factor)
    boxes, owner = _refine(images, boxes, owner, rnet, threshold[1])
    return _finish(images, boxes, owner, onet, threshold[2])


def force_faces(
    images: Sequence[np.ndarray],
    bboxes: Sequence[np.ndarray | Sequence[float]],
    rnet: Net,
    onet: Net,
) -> list[Detected]:
    """(boxes, points) of each photo as from `detect_face_force`."""
    # 2018: single precision up to ONet, which decides on which side of a pixel a corner falls.
    boxes = np.zeros((len(images), 5), dtype=np.float32)
    boxes[:, :4] = np.asarray(bboxes, np.float32).reshape(-1, 4)
    boxes, owner = _refine(images, boxes, np.arange(len(images)), rnet, 0.0)
    return _finish(images, boxes, owner, onet, 0.0)


# ---------------------------------------------------------------------------------- first stage

# The boxes of all photos are rows of one array (N, 5 or more); `owner` (N,), ascending, is the
# photo of each row.


def _propose(
    images: Sequence[np.ndarray],
    minsizes: Sequence[float],
    pnet: Net,
    threshold: float,
    factor: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(PNet's boxes (N, 5), square, with integer corners; their owner)"""
    levels, scales, photos = [], [], []
    for photo, (img, minsize) in enumerate(zip(images, minsizes, strict=True)):
        for scale in pyramid_scales(img.shape[0], img.shape[1], minsize, factor):
            levels.append(_pyramid_level(img, scale))
            scales.append(scale)
            photos.append(photo)
    boxes, level = _level_boxes(_maps(levels, pnet), scales, threshold)
    pick = nms_in_groups(boxes, level, 0.5, "Union")
    boxes, owner = boxes[pick], np.array(photos, np.int64)[level[pick]]
    pick = nms_in_groups(boxes, owner, 0.7, "Union")
    boxes, owner = boxes[pick], owner[pick]
    # 2018: here, unlike in the later stages, the width is x2 - x1 without the one.
    sides = boxes[:, 2:4] - boxes[:, :2]
    moved = boxes[:, :4] + boxes[:, 5:9] * np.tile(sides, 2)
    merged = rerec(np.hstack([moved, boxes[:, 4:5]]))
    merged[:, :4] = np.fix(merged[:, :4])
    return merged, owner


def _pyramid_level(img: np.ndarray, scale: float) -> np.ndarray:
    """The photo at a scale, float32 (h, w, 3), -1..1."""
    height, width = img.shape[:2]
    size = int(np.ceil(height * scale)), int(np.ceil(width * scale))
    return normalised(imresample(img, size))


def _maps(levels: Sequence[np.ndarray], pnet: Net) -> list[Maps]:
    """PNet's outputs for images (h, w, 3), -1..1, of any sizes."""
    if isinstance(pnet, ProposalNetwork):
        return pnet.maps(levels)
    maps = []
    for level in levels:
        offsets, probability = pnet(level[None].transpose(0, 2, 1, 3))
        maps.append((offsets[0].transpose(1, 0, 2), probability[0, :, :, 1].T))
    return maps


def _level_boxes(
    maps: Sequence[Maps], scales: Sequence[float], threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(boxes (N, 9) of all pyramid levels; the level of each)"""
    boxes = [
        generateBoundingBox(probability, offsets, scale, threshold)[0]
        for (offsets, probability), scale in zip(maps, scales, strict=True)
    ]
    level = np.repeat(np.arange(len(boxes)), [len(found) for found in boxes])
    return np.concatenate([np.empty((0, 9)), *boxes]), level


# ---------------------------------------------------------------------------------- later stages


def _refine(
    images: Sequence[np.ndarray], boxes: np.ndarray, owner: np.ndarray, rnet: Net, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(RNet's boxes (N, 5), square; their owner)"""
    if not len(boxes):
        return boxes, owner
    offsets, probability = _outputs(images, owner, boxes, 24, rnet)
    boxes, passed = _rescored(boxes, probability, threshold)
    offsets, owner = offsets[passed], owner[passed]
    pick = nms_in_groups(boxes, owner, 0.7, "Union")
    return rerec(bbreg(boxes[pick], offsets[pick])), owner[pick]


def _finish(
    images: Sequence[np.ndarray], boxes: np.ndarray, owner: np.ndarray, onet: Net, threshold: float
) -> list[Detected]:
    """ONet's boxes (N, 5) and points (10, N) of each photo."""
    if not len(boxes):
        return [_no_faces() for _ in images]
    offsets, landmarks, probability = _outputs(images, owner, boxes, 48, onet)
    boxes, passed = _rescored(np.fix(boxes).astype(np.int32), probability, threshold)
    offsets, landmarks, owner = offsets[passed], landmarks[passed], owner[passed]
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    # (N, 5) each; 2018: points are kept in single precision.
    x = sides[:, :1] * landmarks[:, :5] + boxes[:, :1] - 1
    y = sides[:, 1:] * landmarks[:, 5:] + boxes[:, 1:2] - 1
    points = np.hstack([x, y]).astype(np.float32)
    boxes = bbreg(boxes, offsets)
    pick = nms_in_groups(boxes, owner, 0.7, "Min")
    ends = np.searchsorted(owner[pick], np.arange(len(images)), "right")
    return [
        (boxes[rows], points[rows].T) if len(rows) else _no_faces()
        for rows in np.split(pick, ends[:-1])
    ]


def _outputs(
    images: Sequence[np.ndarray], owner: np.ndarray, boxes: np.ndarray, side: int, network: Net
) -> list[np.ndarray]:
    """A network's outputs for the boxes of all photos; `side` is the size of its input."""
    parts = []
    for start in range(0, len(boxes), CROPS_AT_ONCE):
        rows = slice(start, start + CROPS_AT_ONCE)
        crops = crop_batch(images, owner[rows], np.fix(boxes[rows]), side)
        parts.append(network(crops.transpose(0, 2, 1, 3)))
    return [np.concatenate(output) for output in zip(*parts, strict=True)]


def _rescored(
    boxes: np.ndarray, probability: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(boxes (K, 5) whose new score exceeds the threshold, with that score; their rows (K,))."""
    score = probability[:, 1]
    passed = np.flatnonzero(score > threshold)
    return np.hstack([boxes[passed, :4], score[passed, None]]), passed


def _no_faces() -> Detected:
    return np.empty((0, 5)), np.empty((10, 0), dtype=np.float32)
