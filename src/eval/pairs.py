"""Verification sets as arrays, and their embeddings.

A set is `([images, mirrored], issame)`: two arrays (2P,3,H,W), RGB, 0..255, and P booleans; pair i
is rows 2i and 2i+1. A face is compared by the sum of the embeddings of its image and of the mirror
image.
"""

import os
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from sklearn.preprocessing import normalize

from src.checkpoints.embedding import embed
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.parallel import ordered_map
from src.common.photos import decode_stored
from src.eval.folds import IsSame
from src.formats.verification_set import read_bin

Array: TypeAlias = np.ndarray | mx.nd.NDArray
VerificationSet = tuple[Sequence[Array], IsSame]

_CHUNK = 250  # images that one task decodes


def load_bin(
    path: str | os.PathLike[str], image_size: Sequence[int]
) -> tuple[list[mx.nd.NDArray], list[bool]]:
    """A verification set as float32 NDArrays, as in 2018: ([images, mirrored], issame).

    7,000 pairs of 112×112 take 2 × 2.1 GB; `load_pairs` needs an eighth of that.

    Parameters
    ----------
    path
        The .bin file.
    image_size
        Height, width.
    """
    (images, mirrored), issame = load_pairs(path, image_size)
    return [mx.nd.array(side, dtype=np.float32) for side in (images, mirrored)], issame


def load_pairs(
    path: str | os.PathLike[str], image_size: Sequence[int]
) -> tuple[list[np.ndarray], list[bool]]:
    """A verification set that is small in memory: uint8 arrays, the mirrored one a view.

    Parameters
    ----------
    path
        The .bin file.
    image_size
        Height, width.

    Returns
    -------
    images_and_mirrored
        Two arrays uint8 (2P, 3, H, W), RGB.
    issame
        P booleans.

    Raises
    ------
    InputError
        The file is not a verification set, or an image is damaged or has another shape. Images are
        never left out, because the results would silently be those of another set.
    """
    encoded, issame = read_bin(path)
    images = np.empty((len(encoded), 3, *image_size), np.uint8)

    def decode_from(begin: int) -> int:
        for index in range(begin, min(begin + _CHUNK, len(encoded))):
            images[index] = _decode(encoded[index], image_size, path, index)
        return begin

    starts = range(0, len(encoded), _CHUNK)
    name = os.path.basename(path)
    for begin in ordered_map(decode_from, starts, os.cpu_count() or 1, name, "part", threads=True):
        if begin % 1000 == 0:
            print("loading bin", begin)
    print(images.shape)
    return [images, images[:, :, :, ::-1]], issame


def _decode(
    encoded: bytes, image_size: Sequence[int], path: str | os.PathLike[str], index: int
) -> np.ndarray:
    """One image, uint8 (3,H,W), RGB; path and index are for the messages."""
    image = decode_stored(encoded)
    if image is None:
        raise InputError(
            f"{path}: image {index} (of pair {index // 2}) cannot be decoded: the file is damaged; "
            "download it again, or repack it with src.data.lfw2pack"
        )
    height, width = image.shape[:2]
    if (height, width) != tuple(image_size):
        # 2018: a set of another size is resized by its shorter side, bicubic.
        short, wanted = min(height, width), min(image_size)
        size = width * wanted // short, height * wanted // short
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    if image.shape[:2] != tuple(image_size):
        raise InputError(
            f"{path}: image {index} is {height}×{width} (height × width), which cannot be scaled "
            f"to the {image_size[0]}×{image_size[1]} in property; align and pack the set again"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)


def embed_pairs(
    data_set: VerificationSet,
    mx_model: mx.mod.Module,
    batch_size: int,
    data_extra: Array | None = None,
    label_shape: tuple[int, ...] | None = None,
) -> list[np.ndarray]:
    """Embeddings of a set, float64 (2P,D) each: of the images and of the mirrored images.

    The parameters are those of `src.checkpoints.embedding.embed`.

    Raises
    ------
    InputError
        An embedding is not finite.
    """
    embeddings_list = [
        embed(mx_model, images, batch_size, data_extra, label_shape).astype(np.float64)
        for images in data_set[0]
    ]
    for embeddings in embeddings_list:
        bad = np.count_nonzero(~np.isfinite(embeddings).all(axis=1))
        if bad:
            raise InputError(
                f"the embeddings are not finite for {bad} of {len(embeddings)} images: the model's "
                "training has diverged; use an earlier checkpoint"
            )
    return embeddings_list


def flip_sum(embeddings_list: Sequence[np.ndarray]) -> np.ndarray:
    """L2-normalised sums (2P,D) of the embeddings of images and mirrored images."""
    return normalize(sum(embeddings_list[1:], start=embeddings_list[0]))
