"""Face detection with MTCNN: boxes and five landmarks of the faces in a photo.

The public functions are those of 2018. Photos are RGB, 0..255; boxes are x1 y1 x2 y2 score; points
are five x, then five y: left eye, right eye, nose, left and right mouth corner.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Callable, Sequence

import numpy as np

from src.align.mtcnn_boxes import (
    bbreg,
    crop_batch,
    generateBoundingBox,
    imresample,
    nms,
    nms_in_groups,
    normalised,
    pad,
    pyramid_scales,
    rerec,
)
from src.align.mtcnn_networks import CropNetwork, Maps, ProposalNetwork, create_networks
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
"""One of the networks of `create_mtcnn`, whose classes describe input and outputs."""

Found = tuple[np.ndarray, np.ndarray]
"""Boxes (N, 5) and points (10, N) of the N faces in a photo."""

CROPS_AT_ONCE = 512  # in memory: 14 MB of ONet's


def create_mtcnn(
    sess: object, model_path: str | None
) -> tuple[ProposalNetwork, CropNetwork, CropNetwork]:
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
    (found,) = detect_faces([img], [minsize], pnet, rnet, onet, threshold, factor)
    return found


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
    (found,) = force_faces([img], [bbox], rnet, onet)
    return found


def bulk_detect_face(
    images: Sequence[np.ndarray],
    detection_window_size_ratio: float,
    pnet: Net,
    rnet: Net,
    onet: Net,
    threshold: Sequence[float],
    factor: float,
) -> list[Found | None]:
    """(boxes, points) of each photo as from `detect_face`; None for a photo without a face.

    Parameters
    ----------
    images
        uint8 (H, W, 3) each, RGB, of any sizes.
    detection_window_size_ratio
        Smallest face to look for, as a fraction of the photo's shorter side; at least 12 pixels.
    """
    shortest = [min(image.shape[:2]) for image in images]
    minsizes = [max(int(detection_window_size_ratio * side), 12) for side in shortest]
    found = detect_faces(images, minsizes, pnet, rnet, onet, threshold, factor)
    return [each if len(each[0]) else None for each in found]


def detect_faces(
    images: Sequence[np.ndarray],
    minsizes: Sequence[float],
    pnet: Net,
    rnet: Net,
    onet: Net,
    threshold: Sequence[float],
    factor: float,
) -> list[Found]:
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
) -> list[Found]:
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
) -> list[Found]:
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


def _no_faces() -> Found:
    return np.empty((0, 5)), np.empty((10, 0), dtype=np.float32)
