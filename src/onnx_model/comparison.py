"""Compares an ONNX model with the MXNet network that it was made from."""

import os
from typing import NamedTuple

import cv2
import numpy as np

from src.common.mxnet_backend import Parameters, mx
from src.onnx_model.graph_writer import INPUT_NAME
from src.onnx_model.libraries import onnxruntime

BATCH_SIZES = (1, 3, 8)  # tested if the batch size is dynamic


class Difference(NamedTuple):
    """The difference between the embeddings of MXNet and ONNX.

    `absolute` is the largest difference of any element, `largest` the largest absolute value of
    MXNet's elements.
    """

    absolute: float
    largest: float

    @property
    def relative(self) -> float:
        """`absolute` divided by `largest`; NaN if all embeddings are 0."""
        return self.absolute / self.largest if self.largest else float("nan")


def random_faces(count: int, image_size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Images (count, 3, H, W), float32 with integer values 0..255.

    Half of them are noise; the others are smooth with light and dark areas, like faces.
    """
    random = np.random.RandomState(seed)
    faces = random.randint(0, 256, (count, *image_size, 3)).astype(np.uint8)
    for index in range(0, count, 2):
        coarse = random.randint(0, 256, (7, 7, 3)).astype(np.uint8)
        faces[index] = cv2.resize(coarse, image_size[::-1], interpolation=cv2.INTER_LINEAR)
    return faces.transpose(0, 3, 1, 2).astype(np.float32)


def open_session(
    model: str | os.PathLike[str] | bytes, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU.

    Parameters
    ----------
    model
        The path of an ONNX file, or its content.
    threads
        By default one per processor. Always set, because onnxruntime would otherwise pin its
        threads to processors, which containers forbid.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or os.cpu_count()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def run_session(session: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) of images, float32 (N, 3, H, W)."""
    (embeddings,) = session.run(None, {INPUT_NAME: images})
    return embeddings


def run_mxnet(
    symbol: mx.sym.Symbol, arg_params: Parameters, aux_params: Parameters, images: np.ndarray
) -> np.ndarray:
    """Embeddings (N, D) of images (N, 3, H, W), by the unchanged symbol on the CPU."""
    given = {**arg_params, **aux_params, INPUT_NAME: mx.nd.array(images)}
    executor = symbol.bind(
        mx.cpu(),
        {name: given[name] for name in symbol.list_arguments()},
        aux_states={name: given[name] for name in symbol.list_auxiliary_states()},
        grad_req="null",
    )
    return executor.forward(is_train=False)[0].asnumpy()


def difference_from_mxnet(
    session: onnxruntime.InferenceSession,
    symbol: mx.sym.Symbol,
    arg_params: Parameters,
    aux_params: Parameters,
    image_size: tuple[int, int],
    batch_size: int = 0,
) -> Difference:
    """The largest difference on random faces.

    Parameters
    ----------
    session
        The ONNX model.
    symbol, arg_params, aux_params
        The MXNet network.
    image_size
        Height, width.
    batch_size
        0 tests `BATCH_SIZES`.
    """
    absolute = largest = 0.0
    for size in [batch_size] if batch_size else BATCH_SIZES:
        images = random_faces(size, image_size, seed=size)
        expected = run_mxnet(symbol, arg_params, aux_params, images)
        got = run_session(session, images)
        # np.max and np.maximum, unlike max, keep a NaN, which the caller then rejects.
        absolute = float(np.maximum(absolute, np.max(np.abs(got - expected))))
        largest = float(np.maximum(largest, np.max(np.abs(expected))))
    return Difference(absolute, largest)


def effect_of_batch(
    session: onnxruntime.InferenceSession, image_size: tuple[int, int], batch_size: int = 0
) -> tuple[float, float]:
    """How much an embedding depends on the other faces in its batch, at most, on random faces.

    Compares each face's embedding in a batch of different faces with that in a batch of copies of
    the face.

    Parameters
    ----------
    image_size
        Height, width.
    batch_size
        0 uses the largest of `BATCH_SIZES`.

    Returns
    -------
    change
        Relative to the largest element; 0 if embeddings do not depend on the batch.
    similarity
        The lowest cosine similarity; 1 if they do not.
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
