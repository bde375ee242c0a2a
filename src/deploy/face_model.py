"""2018's `face_model`: a detector and a model, for scripts that embed one face at a time."""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse

import cv2
import numpy as np

from src.align.detector import Faces, MtcnnDetector
from src.align.preprocess import preprocess
from src.checkpoints.binding import bind_embedding
from src.checkpoints.files import load_checkpoint
from src.checkpoints.names import parse_one_model
from src.common.arguments import parse_image_size
from src.common.devices import single_context
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.deploy.embedder import SMALLEST_FACE, FaceEmbedder

__all__ = ["FaceModel", "get_model"]

AGES = 100  # two outputs each: whether the person is older than that
REFINE_ONLY = 1  # of --det


def get_model(
    ctx: mx.Context, image_size: tuple[int, int], model_str: str, layer: str = "fc1"
) -> mx.mod.Module:
    """A module of one face per batch whose output is a layer's.

    Parameters
    ----------
    model_str
        'prefix,epoch'
    layer
        `fc1`, the embedding; also that of 2018's model of age and gender.
    """
    if layer != "fc1":
        raise InputError(f"layer {layer!r}: only fc1 is supported, which has the embedding")
    print("loading", *model_str.split(","))
    checkpoint = load_checkpoint(*parse_one_model(model_str))
    return bind_embedding(*checkpoint, ctx, 1, image_size)


class FaceModel:
    """Finds and aligns a face, and gives its embedding.

    Parameters
    ----------
    args
        With `image_size` ('112,112'), `model` ('prefix,epoch' or ''), and optionally `ga_model`,
        `gpu` (-1: CPU), `det` (1: the whole picture is a face), `flip` (1: add the mirrored face's
        embedding) and `threshold`, which is only stored.

    Attributes
    ----------
    det_minsize
        Smallest face to look for, in pixels.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.image_size = parse_image_size(args.image_size)
        self.threshold = getattr(args, "threshold", None)
        self.det_minsize = SMALLEST_FACE
        context = single_context(getattr(args, "gpu", -1))
        self.model = self.ga_model = None
        if args.model:
            self.model = FaceEmbedder(args.model, context, self.image_size)
        if getattr(args, "ga_model", ""):
            self.ga_model = get_model(context, self.image_size, args.ga_model)
        self.detector = MtcnnDetector.create(context=context)

    def _faces(self, rgb: np.ndarray) -> Faces:
        if getattr(self.args, "det", 0) == REFINE_ONLY:
            height, width = rgb.shape[:2]
            return self.detector.force([rgb], [np.array([0, 0, width, height])])[0]
        return self.detector.find([rgb], [self.det_minsize])[0]

    def get_input(self, face_img: np.ndarray) -> np.ndarray | None:
        """The aligned face with the best score, uint8 (3, H, W) RGB; None if there is no face.

        Parameters
        ----------
        face_img
            uint8 (H, W, 3), BGR, as from `cv2.imread`.
        """
        rgb = cv2.cvtColor(face_img, cv2.COLOR_BGR2RGB)
        faces = self._faces(rgb)
        if not len(faces.boxes):
            return None
        size = "{},{}".format(*self.image_size)
        found = faces.found(0)
        face = preprocess(rgb, found.box, found.landmark, image_size=size)
        return np.transpose(face, (2, 0, 1))

    def get_feature(self, aligned: np.ndarray) -> np.ndarray:
        """The embedding (D,) of length 1 of what `get_input` returns."""
        if self.model is None:
            raise InputError("FaceModel: args.model is empty, so there are no embeddings")
        flip = bool(getattr(self.args, "flip", 0))
        return self.model(np.transpose(aligned, (1, 2, 0))[None], flip)[0]

    def get_ga(self, aligned: np.ndarray) -> tuple[int, int]:
        """(gender: 0 female, 1 male; age) by `args.ga_model`."""
        if self.ga_model is None:
            raise InputError("FaceModel: args.ga_model is empty: name 2018's model of age, gender")
        self.ga_model.forward(mx.io.DataBatch([mx.nd.array(aligned[None])]), is_train=False)
        output = self.ga_model.get_outputs()[0].asnumpy().ravel()
        if len(output) != 2 + 2 * AGES:
            raise InputError(
                f"{self.args.ga_model}: {len(output)} outputs, expected {2 + 2 * AGES}"
            )
        ages = output[2:].reshape(AGES, 2)
        return int(np.argmax(output[:2])), int(np.sum(np.argmax(ages, axis=1)))
