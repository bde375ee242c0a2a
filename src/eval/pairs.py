"""Verification sets as arrays, and their embeddings.

A set is `([images, mirrored], issame)`: two arrays (2P,3,H,W), RGB, 0..255, and P booleans; pair i
is rows 2i and 2i+1. An image's embedding is the sum of its own and that of its mirror image.
"""

import os

import cv2
import numpy as np
from sklearn.preprocessing import normalize

from src.common.embedding import embed
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.parallel import ordered_map
from src.common.photos import decode_stored
from src.common.verification_set import read_bin

_DECODED_AT_ONCE = 250


def load_bin(path, image_size):
    """A verification set as float32 NDArrays, as in 2018: ([images, mirrored], issame).

    That is 2.1 GB twice for 7,000 pairs of 112×112; `load_pairs` holds the same in an eighth.

    Parameters
    ----------
    path : str
        The .bin file.
    image_size : (int, int)
        Height, width.
    """
    (images, mirrored), issame = load_pairs(path, image_size)
    return [mx.nd.array(side, dtype=np.float32) for side in (images, mirrored)], issame


def load_pairs(path, image_size):
    """A verification set that is small in memory: uint8 ndarrays, the mirrored a view of the other.

    Parameters
    ----------
    path : str
        The .bin file.
    image_size : (int, int)
        Height, width.

    Returns
    -------
    images_and_mirrored : [ndarray, ndarray], each (2P, 3, H, W), uint8, RGB
    issame : list of bool, length P

    Raises
    ------
    InputError
        The file is no verification set, or an image is damaged or of another shape. No image is
        left out, because the figures of the set would silently be those of another.
    """
    encoded, issame = read_bin(path)
    images = np.empty((len(encoded), 3, *image_size), np.uint8)

    def decode_from(begin):
        for index in range(begin, min(begin + _DECODED_AT_ONCE, len(encoded))):
            images[index] = _decode(encoded[index], image_size, path, index)
        return begin

    starts = range(0, len(encoded), _DECODED_AT_ONCE)
    name = os.path.basename(path)
    for begin in ordered_map(decode_from, starts, os.cpu_count() or 1, name, "part", threads=True):
        if begin % 1000 == 0:
            print("loading bin", begin)
    print(images.shape)
    return [images, images[:, :, :, ::-1]], issame


def _decode(encoded, image_size, path, index):
    """One image (3,H,W), uint8, RGB."""
    image = decode_stored(encoded)
    if image is None:
        raise InputError(
            f"{path}: image {index} (of pair {index // 2}) cannot be decoded; the file is damaged: "
            "get it again, or pack it again with src.data.lfw2pack"
        )
    height, width = image.shape[:2]
    if (height, width) != tuple(image_size):
        # 2018: a set of another size is resized by its shorter side, bicubic.
        short, wanted = min(height, width), min(image_size)
        size = width * wanted // short, height * wanted // short
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    if image.shape[:2] != tuple(image_size):
        raise InputError(
            f"{path}: image {index} is {height}×{width} (height × width), which does not scale to "
            f"the {image_size[0]}×{image_size[1]} of property; align and pack the set again"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)


def embed_pairs(data_set, mx_model, batch_size, data_extra=None, label_shape=None):
    """Embeddings of a set: a list of float64 ndarrays (2P,D), of the images and of the mirrored.

    The parameters are those of `src.common.embedding.embed`.
    """
    embeddings_list = [
        embed(mx_model, images, batch_size, data_extra, label_shape).astype(np.float64)
        for images in data_set[0]
    ]
    for embeddings in embeddings_list:
        bad = np.count_nonzero(~np.isfinite(embeddings).all(axis=1))
        if bad:
            raise InputError(
                f"the model gives numbers that are not finite for {bad} of {len(embeddings)} "
                "images: its training has diverged; take an earlier checkpoint"
            )
    return embeddings_list


def flip_sum(embeddings_list):
    """L2-normalised sums (2P,D) of the embeddings of images and mirror images."""
    return normalize(sum(embeddings_list[1:], start=embeddings_list[0]))
