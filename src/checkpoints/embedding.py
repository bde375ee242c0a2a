"""Embeddings of images, computed batch by batch."""

import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import mx


def embed(
    module: mx.mod.Module,
    images: np.ndarray | mx.nd.NDArray,
    batch_size: int,
    data_extra: np.ndarray | mx.nd.NDArray | None = None,
    label_shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Embeddings (N, D), float32, of images (N, 3, H, W).

    If the last batch is not full, it is filled from the front with the images just before it, as in
    2018. That matters for models with the GNAP head, where the scale of an image's embedding
    depends on the others in its batch; with other heads it does not. Fewer images than a batch,
    which 2018 could not process, are repeated to fill it.

    Parameters
    ----------
    module
        Bound for batches of `batch_size`; its first output is the embedding. A training module
        works too.
    images
        RGB, 0..255, of any number type; converted to float32 batch by batch.
    data_extra
        A second input, the same for every batch.
    label_shape
        Shape of the labels that a training module is bound with; `(batch_size,)` by default. They
        have no effect on the embedding.

    Raises
    ------
    InputError
        There are no images.
    """
    count = len(images)
    if count == 0:
        raise InputError("there are no images to embed")
    label = mx.nd.ones(label_shape or (batch_size,))
    extra = [] if data_extra is None else [mx.nd.array(data_extra)]
    embeddings = np.empty((0, 0), np.float32)
    for begin in range(0, count, batch_size):
        end = min(begin + batch_size, count)
        batch = _batch_ending_at(images, end, batch_size)
        module.forward(mx.io.DataBatch(data=[batch, *extra], label=[label]), is_train=False)
        output = module.get_outputs()[0].asnumpy()
        if begin == 0:  # now the embedding size is known
            embeddings = np.empty((count, output.shape[1]), np.float32)
        embeddings[begin:end] = output[batch_size - (end - begin) :]
    return embeddings


def _batch_ending_at(
    images: np.ndarray | mx.nd.NDArray, end: int, batch_size: int
) -> mx.nd.NDArray:
    """The `batch_size` images before `end`, float32; they wrap around if there are too few."""
    begin = end - batch_size
    if begin >= 0:
        rows = images[begin:end]
    else:
        wrapped = np.arange(begin, end) % len(images)
        rows = images.asnumpy() if isinstance(images, mx.nd.NDArray) else images
        rows = rows[wrapped]
    if isinstance(rows, mx.nd.NDArray):
        return rows.astype(np.float32)
    return mx.nd.array(rows, dtype=np.float32)
