"""One embedding for each identity of a data set, a block of images in memory at a time."""

import logging

import cv2
import numpy as np

from src.common.embedding import embed
from src.common.errors import InputError
from src.common.log import progress
from src.common.photos import decode_stored

log = logging.getLogger(__name__)

BATCHES_IN_BLOCK = 16  # images decoded ahead of the network: 77 MB at batch 128


def decode_rgb(content, image_size):
    """(3,H,W) uint8, RGB, of an encoded picture, resized where needed; None if it is none."""
    picture = decode_stored(content)
    if picture is None:
        return None
    height, width = image_size
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, (width, height))
    return picture[..., ::-1].transpose(2, 0, 1)


def unit_rows(rows):
    """Rows (N,D) in float64, each of length 1; a row of zeros stays."""
    rows = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def embed_encoded(contents, module, batch_size, image_size):
    """Yields (positions, unit embeddings (N,D)) of encoded pictures, a block at a time.

    Pictures that cannot be decoded have no position.

    Parameters
    ----------
    contents : iterable of bytes
    module : mx.mod.Module
        Bound for `batch_size`.
    image_size : (int, int)
        Height, width.
    """
    positions, images = [], []
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


def class_centres(reader, ranges, module, batch_size, image_size):
    """Unit centres (C,D), float64, of the identities with these ranges of images.

    The centre is the mean of the unit embeddings, scaled to length 1; zeros where no image of an
    identity can be decoded, which is warned of.

    Parameters
    ----------
    reader : RecordReader
    ranges : list of (int, int)
        First and last + 1 image of each identity.
    module : mx.mod.Module
    batch_size : int
    image_size : (int, int)

    Returns
    -------
    centres : ndarray of shape (C, D)
    bad : list of int
        Numbers of the images that cannot be decoded.

    Raises
    ------
    InputError
        None of the images can be decoded.
    """
    ids = np.concatenate([np.arange(start, stop) for start, stop in ranges])
    owners = np.repeat(np.arange(len(ranges)), [stop - start for start, stop in ranges])
    contents = (reader.read(int(index)).content for index in progress(ids, "embed", "image"))
    sums, good = None, np.zeros(len(ids), bool)
    for positions, embeddings in embed_encoded(contents, module, batch_size, image_size):
        if sums is None:
            sums = np.zeros((len(ranges), embeddings.shape[1]))
        np.add.at(sums, owners[positions], embeddings)
        good[positions] = True
    bad = ids[~good].tolist()
    for index in bad:
        log.warning("%s: image %d cannot be decoded and is left out", reader.path, index)
    if sums is None:
        raise InputError(f"{reader.path}: none of its {len(ids)} images can be decoded")
    return unit_rows(sums), bad


def nearest(queries, references, block=1024):
    """(similarity (Q,), place (Q,)) of the reference that is most similar to each query.

    Parameters
    ----------
    queries : ndarray of shape (Q, D)
        Unit rows.
    references : ndarray of shape (R, D)
        Unit rows; without any, the similarity is -1 and the place -1.
    block : int
        Queries in one matrix product: memory is block × R numbers.
    """
    similarities = np.full(len(queries), -1.0)
    places = np.full(len(queries), -1)
    if len(references):
        for start in range(0, len(queries), block):
            products = queries[start : start + block] @ references.T
            places[start : start + block] = products.argmax(axis=1)
            similarities[start : start + block] = products.max(axis=1)
    return similarities, places
