"""Face detection with MTCNN: boxes and five landmarks of the faces in a photo.

The public functions are those of 2018. Photos are RGB, 0..255; boxes are x1 y1 x2 y2 score; points
are five x, then five y: left eye, right eye, nose, left and right mouth corner.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Callable, Sequence
from typing import TypeVar

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
from src.align.mtcnn_networks import Network, create_networks
from src.common.mxnet_backend import mx

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

Net = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""One of the networks of `create_mtcnn`; `mtcnn_networks.Network` describes input and outputs."""

Kept = TypeVar("Kept")


def create_mtcnn(sess: object, model_path: str | None) -> tuple[Network, Network, Network]:
    """The three networks (pnet, rnet, onet) that the other functions take.

    Parameters
    ----------
    sess
        The device that they run on; anything else, such as 2018's TensorFlow session: the CPU.
    model_path
        Folder with det1.npy, det2.npy, det3.npy; None for the weights of the package `mtcnn`.

    Raises
    ------
    FileNotFoundError, InputError
        The weights are missing or not those of the detector.
    """
    return create_networks(sess if isinstance(sess, mx.Context) else None, model_path)


def detect_face(
    img: np.ndarray,
    minsize: float,
    pnet: Net,
    rnet: Net,
    onet: Net,
    threshold: Sequence[float],
    factor: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and landmarks of the faces in a photo.

    Parameters
    ----------
    img
        uint8 (H, W, 3), RGB
    minsize
        Smallest face to look for, in pixels.
    threshold
        Scores that a box must exceed in each of the three networks.
    factor
        Ratio of successive scales of the pyramid, below 1.

    Returns
    -------
    boxes
        float64 (N, 5), best score first; (0, 5) if there is no face.
    points
        float32 (10, N)
    """
    boxes = _propose(img, minsize, pnet, threshold[0], factor)
    if len(boxes):
        boxes = _refine(img, boxes, rnet, threshold[1])
    if len(boxes):
        return _finish(img, boxes, onet, threshold[2])
    return _no_faces()


def detect_face_force(
    img: np.ndarray, bbox: np.ndarray | Sequence[float], pnet: Net, rnet: Net, onet: Net
) -> tuple[np.ndarray, np.ndarray]:
    """Box and landmarks of the face that is known to be in a box; PNet is not used.

    Parameters
    ----------
    img
        uint8 (H, W, 3), RGB
    bbox
        (4,)

    Returns
    -------
    boxes
        float64 (1, 5), whatever the score; (0, 5) only if it is 0.
    points
        float32 (10, 1) or (10, 0)
    """
    # 2018: single precision up to ONet, which decides on which side of a pixel a corner falls.
    boxes = np.zeros((1, 5), dtype=np.float32)
    boxes[0, :4] = bbox
    boxes = _refine(img, boxes, rnet, 0.0)
    return _finish(img, boxes, onet, 0.0) if len(boxes) else _no_faces()


def bulk_detect_face(
    images: Sequence[np.ndarray],
    detection_window_size_ratio: float,
    pnet: Net,
    rnet: Net,
    onet: Net,
    threshold: Sequence[float],
    factor: float,
) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """(boxes, points) of each photo as from `detect_face`; None for a photo without a face.

    Pyramid levels of equal size share a batch, as do all crops.

    Parameters
    ----------
    images
        uint8 (H, W, 3) each, RGB, of any sizes.
    detection_window_size_ratio
        Smallest face to look for, as a fraction of the photo's shorter side; at least 12 pixels.
    """
    proposals = _propose_in_all(images, detection_window_size_ratio, pnet, threshold[0], factor)
    refined = _in_one_batch(images, proposals, rnet, 24, threshold[1], _keep_refined)
    finished = _in_one_batch(images, refined, onet, 48, threshold[2], _keep_finished)
    return [found if found is not None and len(found[0]) else None for found in finished]


# ---------------------------------------------------------------------------------- first stage


def _propose(
    img: np.ndarray, minsize: float, pnet: Net, threshold: float, factor: float
) -> np.ndarray:
    """PNet's boxes (N, 5), square, with integer corners."""
    height, width = img.shape[:2]
    levels = []
    for scale in pyramid_scales(height, width, minsize, factor):
        level = _pyramid_level(img, scale)
        offsets, probability = pnet(level[None].transpose(0, 2, 1, 3))
        levels.append(_level_boxes(offsets[0], probability[0], scale, threshold))
    return _merge_levels(levels)


def _propose_in_all(
    images: Sequence[np.ndarray], ratio: float, pnet: Net, threshold: float, factor: float
) -> list[np.ndarray]:
    """As `_propose` for each photo; levels of equal size go through PNet together."""
    by_size: dict[tuple[int, ...], list[tuple[int, int, float, np.ndarray]]] = {}
    for index, img in enumerate(images):
        height, width = img.shape[:2]
        minsize = max(int(ratio * min(height, width)), 12)
        for order, scale in enumerate(pyramid_scales(height, width, minsize, factor)):
            level = _pyramid_level(img, scale)
            by_size.setdefault(level.shape, []).append((index, order, scale, level))
    levels: list[dict[int, np.ndarray]] = [{} for _ in images]
    for same_size in by_size.values():
        batch = np.stack([level for *_, level in same_size])
        all_offsets, all_probability = pnet(batch.transpose(0, 2, 1, 3))
        for row, (index, order, scale, _) in enumerate(same_size):
            levels[index][order] = _level_boxes(
                all_offsets[row], all_probability[row], scale, threshold
            )
    return [_merge_levels([found[order] for order in sorted(found)]) for found in levels]


def _pyramid_level(img: np.ndarray, scale: float) -> np.ndarray:
    """The photo at a scale, float32 (h, w, 3), -1..1."""
    height, width = img.shape[:2]
    size = int(np.ceil(height * scale)), int(np.ceil(width * scale))
    return normalised(imresample(img, size))


def _level_boxes(
    offsets: np.ndarray, probability: np.ndarray, scale: float, threshold: float
) -> np.ndarray:
    """Boxes (N, 9) of one pyramid level from PNet's outputs (w, h, 4) and (w, h, 2)."""
    boxes, _ = generateBoundingBox(
        probability[:, :, 1].T, offsets.transpose(1, 0, 2), scale, threshold
    )
    return boxes[nms(boxes, 0.5, "Union")]


def _merge_levels(levels: Sequence[np.ndarray]) -> np.ndarray:
    """Boxes (N, 5) from those of all levels, (N, 9) each: suppressed, moved and made square."""
    boxes = np.concatenate(levels) if levels else np.empty((0, 9))
    boxes = boxes[nms(boxes, 0.7, "Union")]
    # 2018: here, unlike in the later stages, the width is x2 - x1 without the one.
    sides = boxes[:, 2:4] - boxes[:, :2]
    moved = boxes[:, :4] + boxes[:, 5:9] * np.tile(sides, 2)
    merged = rerec(np.hstack([moved, boxes[:, 4:5]]))
    merged[:, :4] = np.fix(merged[:, :4])
    return merged


# ---------------------------------------------------------------------------------- later stages


def _refine(img: np.ndarray, boxes: np.ndarray, rnet: Net, threshold: float) -> np.ndarray:
    """RNet's boxes (N, 5), square."""
    crops = crop_batch(img, np.fix(boxes), 24)
    return _keep_refined(boxes, rnet(crops.transpose(0, 2, 1, 3)), threshold)


def _keep_refined(boxes: np.ndarray, outputs: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """RNet's boxes, given its outputs for the crops of `boxes`."""
    offsets, probability = outputs
    boxes, passed = _rescored(boxes, probability, threshold)
    pick = nms(boxes, 0.7, "Union")
    return rerec(bbreg(boxes[pick], offsets[passed][pick]))


def _finish(
    img: np.ndarray, boxes: np.ndarray, onet: Net, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """ONet's boxes (N, 5) and points (10, N)."""
    crops = crop_batch(img, np.fix(boxes), 48)
    return _keep_finished(boxes, onet(crops.transpose(0, 2, 1, 3)), threshold)


def _keep_finished(
    boxes: np.ndarray, outputs: Sequence[np.ndarray], threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """ONet's boxes and points, given its outputs for the crops of `boxes`."""
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


def _rescored(
    boxes: np.ndarray, probability: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(boxes (K, 5) whose new score exceeds the threshold, with that score; their rows (K,))."""
    score = probability[:, 1]
    passed = np.flatnonzero(score > threshold)
    return np.hstack([boxes[passed, :4], score[passed, None]]), passed


def _in_one_batch(
    images: Sequence[np.ndarray],
    found: Sequence[np.ndarray | None],
    network: Net,
    side: int,
    threshold: float,
    keep: Callable[[np.ndarray, Sequence[np.ndarray], float], Kept],
) -> list[Kept | None]:
    """Applies `network` to the boxes of all photos at once, then `keep` photo by photo.

    `found` has the boxes of each photo; a photo without boxes (none, or None) gets None. `side` is
    the height and width of the network's input.
    """
    with_boxes = [(i, boxes) for i, boxes in enumerate(found) if boxes is not None and len(boxes)]
    kept: list[Kept | None] = [None] * len(images)
    if not with_boxes:
        return kept
    crops = [crop_batch(images[index], np.fix(boxes), side) for index, boxes in with_boxes]
    outputs = network(np.concatenate(crops).transpose(0, 2, 1, 3))
    ends = np.cumsum([len(crop) for crop in crops])
    for (index, boxes), end, crop in zip(with_boxes, ends, crops, strict=True):
        rows = slice(end - len(crop), end)
        kept[index] = keep(boxes, [output[rows] for output in outputs], threshold)
    return kept


def _no_faces() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, 5)), np.empty((10, 0), dtype=np.float32)
