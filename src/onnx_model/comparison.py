"""An ONNX model run beside the MXNet network that it was made from."""

import os
from typing import NamedTuple

import cv2
import numpy as np

from src.common.mxnet_backend import mx
from src.onnx_model.conversion import INPUT_NAME
from src.onnx_model.libraries import onnxruntime

BATCH_SIZES = (1, 3, 8)  # that a model with an open batch axis is tried at


class Difference(NamedTuple):
    """How far two sets of embeddings lie apart.

    Attributes
    ----------
    absolute : float
        The largest of any element.
    largest : float
        The largest absolute value of MXNet's elements.
    """

    absolute: float
    largest: float

    @property
    def relative(self):
        """`absolute` as a part of `largest`; NaN where all embeddings are 0."""
        return self.absolute / self.largest if self.largest else float("nan")


def random_faces(count, image_size, seed=0):
    """Images (count, 3, H, W), float32 of whole numbers 0..255.

    Half of them are noise; the others are smooth, light or dark, as faces are.
    """
    random = np.random.RandomState(seed)
    faces = random.randint(0, 256, (count, *image_size, 3)).astype(np.uint8)
    for index in range(0, count, 2):
        coarse = random.randint(0, 256, (7, 7, 3)).astype(np.uint8)
        faces[index] = cv2.resize(coarse, image_size[::-1], interpolation=cv2.INTER_LINEAR)
    return faces.transpose(0, 3, 1, 2).astype(np.float32)


def open_session(path, threads=None):
    """An onnxruntime session of the file, on the CPU.

    Parameters
    ----------
    path : str
    threads : int, optional
        One a processor by default. Said explicitly, because onnxruntime otherwise binds its
        threads to processors, which containers forbid.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or os.cpu_count()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def run_session(session, images):
    """Embeddings (N, D) of images (N, 3, H, W)."""
    (embeddings,) = session.run(None, {INPUT_NAME: images})
    return embeddings


def run_mxnet(symbol, arg_params, aux_params, images):
    """Embeddings (N, D) of images (N, 3, H, W) by the symbol as it is, on the CPU."""
    given = {**arg_params, **aux_params, INPUT_NAME: mx.nd.array(images)}
    executor = symbol.bind(
        mx.cpu(),
        {name: given[name] for name in symbol.list_arguments()},
        aux_states={name: given[name] for name in symbol.list_auxiliary_states()},
        grad_req="null",
    )
    return executor.forward(is_train=False)[0].asnumpy()


def difference_from_mxnet(session, symbol, arg_params, aux_params, image_size, batch_size=0):
    """The largest `Difference` between the two on random faces.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    symbol, arg_params, aux_params
        The network in MXNet.
    image_size : (int, int)
        Height and width.
    batch_size : int
        0 tries several.
    """
    absolute = largest = 0.0
    for size in [batch_size] if batch_size else BATCH_SIZES:
        images = random_faces(size, image_size, seed=size)
        expected = run_mxnet(symbol, arg_params, aux_params, images)
        got = run_session(session, images)
        # np.max and np.maximum keep a NaN, so that it is refused.
        absolute = float(np.maximum(absolute, np.max(np.abs(got - expected))))
        largest = float(np.maximum(largest, np.max(np.abs(expected))))
    return Difference(absolute, largest)


def effect_of_companions(session, image_size, batch_size=0):
    """(part of the largest element, cosine similarity): how much a batch changes an embedding.

    The most, on random faces, between a face with others and a face with copies of itself: (0, 1)
    where an embedding depends on its face alone.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    image_size : (int, int)
        Height and width.
    batch_size : int
        0 takes the largest that is tried.
    """
    size = batch_size or max(BATCH_SIZES)
    faces = random_faces(size, image_size)
    with_others = run_session(session, faces)
    alone = np.stack(
        [run_session(session, np.repeat(face[None], size, axis=0))[0] for face in faces]
    )
    change = np.abs(with_others - alone).max() / np.abs(alone).max()
    lengths = np.linalg.norm(with_others, axis=1) * np.linalg.norm(alone, axis=1)
    return float(change), float(np.min(np.sum(with_others * alone, axis=1) / lengths))
