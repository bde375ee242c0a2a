"""Face detection with MTCNN: boxes and five landmarks of the faces in a photo.

The public functions are those of 2018. Photos are RGB, 0..255; boxes are x1 y1 x2 y2 score; points
are five x, then five y: left eye, right eye, nose, left and right mouth corner.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from collections.abc import Sequence

import numpy as np

from src.align.detection import Detected, Net, detect_faces, force_faces
from src.align.mtcnn_boxes import bbreg, generateBoundingBox, imresample, pad, rerec
from src.align.mtcnn_networks import CropNetwork, ProposalNetwork, create_networks
from src.align.suppression import nms
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
) -> list[Detected | None]:
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
