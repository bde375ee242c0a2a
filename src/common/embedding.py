"""The one loop that turns images into embeddings."""

import numpy as np

from src.common.errors import InputError
from src.common.mxnet_backend import mx


def embed(module, images, batch_size, data_extra=None, label_shape=None):
    """Embeddings (N,D), float32, of images (N,3,H,W).

    The last batch is full too: its first places hold the images just before it once more, as in
    2018. That matters to models with the GNAP head, where an image's embedding depends (by scale)
    on the others of its batch; with GDC and the rest it does not. Fewer images than a batch, which
    2018 could not do, are repeated from their end.

    Parameters
    ----------
    module : mx.mod.Module
        Bound for batches of `batch_size`; its first output is the embedding. A training module
        serves too.
    images : ndarray or NDArray of shape (N, 3, H, W)
        RGB, 0..255, of any number type; a batch at a time is converted to float32.
    batch_size : int
    data_extra : array, optional
        A second input, the same for every batch.
    label_shape : tuple, optional
        Of the labels that a training module is bound with; `(batch_size,)` by default. They have
        no effect on the embedding.
    """
    count = len(images)
    if count == 0:
        raise InputError("there are no images to embed")
    label = mx.nd.ones(label_shape or (batch_size,))
    extra = [] if data_extra is None else [mx.nd.array(data_extra)]
    embeddings = None
    for begin in range(0, count, batch_size):
        end = min(begin + batch_size, count)
        batch = _batch_ending_at(images, end, batch_size)
        module.forward(mx.io.DataBatch(data=[batch, *extra], label=[label]), is_train=False)
        output = module.get_outputs()[0].asnumpy()
        if embeddings is None:
            embeddings = np.empty((count, output.shape[1]), np.float32)
        embeddings[begin:end] = output[batch_size - (end - begin) :]
    return embeddings


def _batch_ending_at(images, end, batch_size):
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
