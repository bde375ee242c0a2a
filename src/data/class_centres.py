"""One embedding for each identity of a data set, with one block of images in memory at a time."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from src.checkpoints.embedding import embed
from src.common.errors import InputError
from src.common.log import progress
from src.common.mxnet_backend import mx
from src.common.photos import decode_stored
from src.formats.records import RecordReader

log = logging.getLogger(__name__)

BATCHES_IN_BLOCK = 16  # images decoded ahead of the network: 77 MB at batch size 128


def decode_rgb(content: bytes, image_size: Sequence[int]) -> np.ndarray | None:
    """uint8 (3, H, W), RGB, of an encoded image; None if it cannot be decoded.

    Parameters
    ----------
    image_size
        Height, width; an image of another size is resized.
    """
    image = decode_stored(content)
    if image is None:
        return None
    height, width = image_size
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height))
    return image[..., ::-1].transpose(2, 0, 1)


def unit_rows(rows: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """The rows (N, D), float64, each scaled to length 1; rows of zeros are unchanged."""
    rows = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def embed_encoded(
    contents: Iterable[bytes], module: mx.mod.Module, batch_size: int, image_size: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (positions (N,), unit embeddings (N, D)) of encoded images, block by block.

    Positions count from 0 in `contents`; images that cannot be decoded are left out.

    Parameters
    ----------
    module
        Bound for `batch_size`.
    image_size
        Height, width.
    """
    positions: list[int] = []
    images: list[np.ndarray] = []
    for position, content in enumerate(contents):
        image = decode_rgb(content, image_size)
        if image is not None:
            positions.append(position)
            images.append(image)
        if len(images) == BATCHES_IN_BLOCK * batch_size:
            yield np.array(positions), unit_rows(embed(module, np.stack(images), batch_size))
            positions, images = [], []
    if images:
        yield np.array(positions), unit_rows(embed(module, np.stack(images), batch_size))


def class_centres(
    reader: RecordReader,
    ranges: Sequence[tuple[int, int]],
    module: mx.mod.Module,
    batch_size: int,
    image_size: Sequence[int],
) -> tuple[np.ndarray, list[int]]:
    """Unit centres of the identities with these ranges of images.

    The centre is the mean of the unit embeddings, scaled to length 1. It is zero if no image of an
    identity can be decoded. Images that cannot be decoded are logged.

    Parameters
    ----------
    ranges
        Image numbers (first, last + 1) of each identity.
    module
        Bound for `batch_size`.
    image_size
        Height, width.

    Returns
    -------
    centres
        float64 (C, D)
    bad
        Numbers of the images that cannot be decoded.

    Raises
    ------
    InputError
        None of the images can be decoded.
    """
    ids = np.concatenate([np.arange(start, stop) for start, stop in ranges])
    owners = np.repeat(np.arange(len(ranges)), [stop - start for start, stop in ranges])
    contents = (reader.read(int(index)).content for index in progress(ids, "embed", "image"))
    sums: np.ndarray | None = None
    good = np.zeros(len(ids), bool)
    for positions, embeddings in embed_encoded(contents, module, batch_size, image_size):
        if sums is None:
            sums = np.zeros((len(ranges), embeddings.shape[1]))
        np.add.at(sums, owners[positions], embeddings)
        good[positions] = True
    bad = ids[~good].tolist()
    for index in bad:
        log.warning("%s: image %d cannot be decoded and is skipped", reader.path, index)
    if sums is None:
        raise InputError(f"{reader.path}: none of its {len(ids)} images can be decoded")
    return unit_rows(sums), bad
