"""The five-point template of an aligned face, and functions that crop faces from photos."""

from collections.abc import Sequence

import cv2
import numpy as np

from src.common.errors import InputError

# Left eye, right eye, nose, left and right mouth corner in a face of height 112, width 96.
_NARROW_TEMPLATE = np.array(
    [
        [30.2946, 51.6963],
        [65.5318, 51.5014],
        [48.0252, 71.7366],
        [33.5493, 92.3655],
        [62.7299, 92.2041],
    ],
    dtype=np.float32,
)

FIVE_POINT_TEMPLATE = _NARROW_TEMPLATE + np.array([8, 0], dtype=np.float32)
"""float32 (5, 2): the landmarks of an aligned face of 112×112."""

SMALLEST_VARIANCE = 1e-6  # pixels²; below it all landmarks coincide


def template_for(image_size: Sequence[int]) -> np.ndarray:
    """Landmarks of an aligned face, float32 (5, 2).

    Parameters
    ----------
    image_size
        Height, width. 112×112 and 112×96 give the templates of 2018. The face scales with the
        height and stays in the middle of the width.
    """
    height, width = image_size
    scale = height / 112
    template = _NARROW_TEMPLATE * np.float32(scale)
    template[:, 0] += np.float32((width - 96 * scale) / 2)
    return template


def similarity_transforms(sources: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For each face, the rotation, scaling and shift from its points to the target's.

    Least squares without reflection: Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", 1991.

    Parameters
    ----------
    sources
        (N, K, 2), K at least 2.
    target
        (K, 2)

    Returns
    -------
    matrices
        float64 (N, 2, 3), as cv2.warpAffine takes them: target = matrix @ [x, y, 1]. NaN for a face
        whose points all coincide or are not finite.
    """
    # 2018: float32 up to the rotation, and the covariance summed point by point. cv2.warpAffine
    # rounds to 1/32 pixel, so the last bits can change a pixel by a grey level.
    sources = np.asarray(sources, dtype=np.float32)
    target = np.asarray(target, dtype=np.float32)
    source_means, target_mean = sources.mean(axis=1), target.mean(axis=0)
    from_points, to_points = sources - source_means[:, None], target - target_mean
    variances = from_points.var(axis=1).sum(axis=1)
    degenerate = ~(variances >= SMALLEST_VARIANCE) | ~np.isfinite(variances)
    covariances = np.zeros((len(sources), 2, 2), np.float32)
    for point in range(len(target)):
        covariances += to_points[point][:, None] * from_points[:, point, None, :]
    covariances[degenerate] = np.eye(2)
    # Decomposed in float64 and rounded, because float32 routines differ between LAPACKs.
    left, sizes, right = (
        part.astype(np.float32)
        for part in np.linalg.svd((covariances / len(target)).astype(np.float64))
    )
    turns = np.ones((len(sources), 2))
    turns[:, 1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotations = (left * turns[:, None, :]) @ right
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = 1 / variances.astype(np.float64) * (sizes * turns).sum(axis=1)
        shifts = target_mean - scales[:, None] * (rotations @ source_means[:, :, None])[:, :, 0]
        matrices = np.concatenate([scales[:, None, None] * rotations, shifts[:, :, None]], axis=2)
    matrices[degenerate] = np.nan
    return matrices


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The matrix (2, 3) of one face, see `similarity_transforms`; points are (K, 2).

    Raises
    ------
    InputError
        The source points all coincide or are not finite numbers: there is no such transform.
    """
    (matrix,) = similarity_transforms(np.asarray(source)[None], target)
    if np.isnan(matrix).any():
        points = np.asarray(source, dtype=np.float32).tolist()
        raise InputError(f"degenerate landmarks {points}: five different points expected")
    return matrix


def warp_to_template(
    image: np.ndarray, landmark: np.ndarray, image_size: Sequence[int] = (112, 112)
) -> np.ndarray:
    """The aligned face: its landmarks moved to the template, black outside the photo.

    Parameters
    ----------
    image
        uint8 (H, W, 3) or (H, W)
    landmark
        (5, 2)
    image_size
        Height, width of the result.

    Raises
    ------
    InputError
        The landmarks are degenerate.
    """
    matrix = similarity_transform(landmark, template_for(image_size))
    return cv2.warpAffine(image, matrix, (image_size[1], image_size[0]), borderValue=0.0)


def crop_to_box(
    image: np.ndarray,
    bbox: Sequence[float] | np.ndarray | None = None,
    image_size: Sequence[int] | None = None,
    margin: int = 44,
) -> np.ndarray:
    """The part of a photo inside a box with a margin, resized.

    Parameters
    ----------
    image
        uint8 (H, W, 3) or (H, W)
    bbox
        None takes the middle of the photo: 6.25 % are cropped off each side.
    image_size
        Height, width of the result; None keeps the size of the crop.
    margin
        Pixels added to width and height, half on each side, within the photo.

    Raises
    ------
    InputError
        The box lies outside the photo.
    """
    height, width = image.shape[:2]
    if bbox is None:
        left, top = int(width * 0.0625), int(height * 0.0625)
        bbox = (left, top, width - left, height - top)
    half = margin // 2
    left, top = max(int(bbox[0] - half), 0), max(int(bbox[1] - half), 0)
    right, bottom = min(int(bbox[2] + half), width), min(int(bbox[3] + half), height)
    if right <= left or bottom <= top:
        corners = ", ".join(f"{value:g}" for value in bbox)
        raise InputError(f"box ({corners}) lies outside the photo of {width}×{height} pixels")
    crop = image[top:bottom, left:right]
    return crop if image_size is None else cv2.resize(crop, (image_size[1], image_size[0]))
