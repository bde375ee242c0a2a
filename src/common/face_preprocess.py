"""List lines, the five-point template, and cutting a face out of a photo.

The one place that knows what a list line looks like and where the landmarks of an aligned face lie.
"""

import cv2
import numpy as np

from src.common.errors import InputError
from src.common.photos import read_photo

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
"""float32 (5,2): the landmarks of an aligned face of 112×112."""


def template_for(image_size):
    """Template landmarks of an aligned face.

    Parameters
    ----------
    image_size : (int, int)
        Height, width. 112×112 and 112×96 are those of 2018; the face scales with the height and
        stays in the middle of the width.

    Returns
    -------
    landmark : float32 ndarray of shape (5, 2)
    """
    height, width = image_size
    scale = height / 112
    template = _NARROW_TEMPLATE * np.float32(scale)
    template[:, 0] += np.float32((width - 96 * scale) / 2)
    return template


def parse_image_size(text):
    """(height, width) of '112,112', or '112' for a square.

    Raises
    ------
    InputError
        It is not one or two whole numbers above zero.
    """
    parts = [part.strip() for part in str(text).split(",")]
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"image size {text!r}: expected height,width such as 112,112")
    return int(parts[0]), int(parts[-1])


# ---------------------------------------------------------------------------------- list lines


def parse_lst_line(line):
    """What a list line says.

    Parameters
    ----------
    line : str
        Fields between tabs: aligned flag, path, label; then optionally the box; then optionally
        five landmark x and five landmark y.

    Returns
    -------
    image_path : str
    label : int
    bbox : int32 ndarray of shape (4,), or None
    landmark : float64 ndarray of shape (5, 2), or None
    aligned : int
        1 for a face that is aligned already.

    Raises
    ------
    InputError
        The line has another form. It is quoted; the caller knows file and line number.
    """
    fields = line.strip().split("\t")
    if len(fields) not in (3, 7, 17):
        raise InputError(
            f"list line {line.strip()!r}: expected 3, 7 or 17 fields between tabs "
            f"(aligned path label [x1 y1 x2 y2 [10 landmark numbers]]), got {len(fields)}"
        )
    try:
        aligned, label = int(fields[0]), int(fields[2])
        numbers = np.array([float(field) for field in fields[3:]])
    except ValueError as error:
        raise InputError(f"list line {line.strip()!r}: {error}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"list line {line.strip()!r}: a coordinate is not a finite number")
    bbox = numbers[:4].astype(np.int32) if len(fields) > 3 else None
    landmark = numbers[4:].reshape(2, 5).T.copy() if len(fields) > 7 else None
    return fields[1], label, bbox, landmark, aligned


def format_aligned_line(path, label):
    """List line of an aligned face, without a line end: `1<TAB>path<TAB>label`."""
    return f"1\t{_checked_path(path)}\t{int(label):d}"


def format_unaligned_line(path, label, bbox, landmark, spell="{:f}".format):
    """List line of a photo that is still to be aligned, without a line end.

    Parameters
    ----------
    path : str
    label : int
    bbox : sequence of 4 numbers
        Written as whole numbers.
    landmark : array_like of shape (5, 2)
    spell : callable
        From a coordinate to its text.
    """
    corners = "\t".join(f"{int(value):d}" for value in bbox)
    coordinates = "\t".join(spell(value) for value in np.asarray(landmark).T.ravel())
    return f"0\t{_checked_path(path)}\t{int(label):d}\t{corners}\t{coordinates}"


def _checked_path(path):
    """The path; InputError if it cannot stand in a list line."""
    if any(character in path for character in "\t\n\r"):
        raise InputError(f"{path!r}: a name with a tab or line end cannot stand in a list; rename")
    return path


# ---------------------------------------------------------------------------------- faces


def read_image(path, mode="rgb", layout="HWC"):
    """A photo's pixels, uint8.

    Parameters
    ----------
    path : str
    mode : {'rgb', 'bgr', 'gray'}
        2018: everything but 'rgb' and 'gray' is BGR.
    layout : {'HWC', 'CHW'}
        Ignored for 'gray', which is (H, W).

    Raises
    ------
    FileNotFoundError, InputError
        There is no such file, or it is no readable photo.
    """
    if mode == "gray":
        return read_photo(path, "L")
    image = read_photo(path)
    if mode != "rgb":
        image = np.ascontiguousarray(image[..., ::-1])
    return image.transpose(2, 0, 1) if layout == "CHW" else image


def similarity_transform(source, target):
    """The rotation, scaling and shift that brings points nearest to others (least squares).

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991, without reflection.

    Parameters
    ----------
    source, target : array_like of shape (K, 2)
        K at least 2.

    Returns
    -------
    matrix : float64 ndarray of shape (2, 3)
        As cv2.warpAffine takes it: target = matrix @ [x, y, 1].

    Raises
    ------
    InputError
        Source points that all coincide, or are not finite numbers: there is no such transform.
    """
    # 2018: float32 up to the rotation, and the covariance summed point by point. cv2.warpAffine
    # rounds to 1/32 pixel, so that the last bits decide on a grey level here and there.
    source = np.asarray(source, dtype=np.float32)
    target = np.asarray(target, dtype=np.float32)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    from_points, to_points = source - source_mean, target - target_mean
    variance = from_points.var(axis=0).sum()
    if not np.isfinite(variance) or variance < 1e-6:
        raise InputError(f"degenerate landmarks {source.tolist()}: five different points expected")
    covariance = np.zeros((2, 2), np.float32)
    for from_point, to_point in zip(from_points, to_points, strict=True):
        covariance += np.outer(to_point, from_point)
    # Decomposed in float64 and rounded, because float32 routines differ between LAPACKs.
    left, sizes, right = (
        part.astype(np.float32) for part in np.linalg.svd((covariance / len(source)).astype(float))
    )
    turn = np.diag([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ turn @ right
    scale = np.float64(1 / variance) * (sizes @ np.diag(turn))
    shift = target_mean - scale * (rotation @ source_mean)
    return np.column_stack([scale * rotation, shift])


def warp_to_template(image, landmark, image_size=(112, 112)):
    """The aligned face: its landmarks moved onto the template; black outside the photo.

    Parameters
    ----------
    image : uint8 ndarray of shape (H, W, 3) or (H, W)
    landmark : array_like of shape (5, 2)
    image_size : (int, int)
        Height, width of the result.

    Raises
    ------
    InputError
        Degenerate landmarks.
    """
    matrix = similarity_transform(landmark, template_for(image_size))
    return cv2.warpAffine(image, matrix, (image_size[1], image_size[0]), borderValue=0.0)


def preprocess(img, bbox=None, landmark=None, image_size="112,112", margin=44, **read_arguments):
    """The face in a photo: aligned by its landmarks, or else cropped and resized.

    Parameters
    ----------
    img : uint8 ndarray of shape (H, W, 3), or str
        The photo or its path, which is read by `read_image` with the remaining arguments.
    bbox : array_like of shape (4,), optional
        Cropped where there are no landmarks. Without either, the middle: 6.25 % off each side.
    landmark : array_like of shape (5, 2), optional
    image_size : str
        'height,width'; '' leaves a crop in its size.
    margin : int
        Added around the crop, half on each side, in whole pixels, as far as the photo goes.

    Raises
    ------
    InputError
        The box lies outside the photo, the landmarks are degenerate, or the photo is unreadable.
    """
    if isinstance(img, str):
        img = read_image(img, **read_arguments)
    if landmark is not None:
        return warp_to_template(img, landmark, parse_image_size(image_size))
    height, width = img.shape[:2]
    if bbox is None:
        left, top = int(width * 0.0625), int(height * 0.0625)
        box = (left, top, width - left, height - top)
    else:
        box = bbox
    half = margin // 2
    left, top = max(int(box[0] - half), 0), max(int(box[1] - half), 0)
    right, bottom = min(int(box[2] + half), width), min(int(box[3] + half), height)
    if right <= left or bottom <= top:
        corners = ", ".join(f"{value:g}" for value in box)
        raise InputError(f"box ({corners}) lies outside the photo of {width}×{height} pixels")
    crop = img[top:bottom, left:right]
    if not image_size:
        return crop
    target_height, target_width = parse_image_size(image_size)
    return cv2.resize(crop, (target_width, target_height))
