"""A checkpoint that gives the embeddings of faces, and the detector that finds these in photos."""

from collections.abc import Sequence

import numpy as np
from sklearn.preprocessing import normalize

from src.align.choices import Choice, central_face
from src.align.detector import Detector
from src.align.ladder import align_photos
from src.align.photo import Photo
from src.checkpoints.binding import bind_embedding
from src.checkpoints.embedding import embed
from src.checkpoints.files import load_checkpoint
from src.checkpoints.names import parse_one_model
from src.common.errors import InputError
from src.common.mxnet_backend import mx

SMALLEST_FACE = 50  # pixels; 2018's face_model


class FaceEmbedder:
    """The embeddings of aligned faces.

    Parameters
    ----------
    model
        'prefix,epoch', or a prefix for its newest checkpoint.
    context
    image_size
        Height, width of the faces.
    batch_size
        Faces that are computed at once.

    Raises
    ------
    InputError, FileNotFoundError
        There is no such checkpoint, or it needs faces of another size.
    """

    def __init__(
        self,
        model: str,
        context: mx.Context,
        image_size: Sequence[int] = (112, 112),
        batch_size: int = 1,
    ) -> None:
        self.prefix, self.epoch = parse_one_model(model)
        self.image_size, self.batch_size = tuple(image_size), batch_size
        checkpoint = load_checkpoint(self.prefix, self.epoch)
        self._module = bind_embedding(*checkpoint, context, batch_size, image_size)

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return int(self._module.output_shapes[0][1][1])

    def __call__(self, faces: np.ndarray, flip: bool = False) -> np.ndarray:
        """Embeddings (N, D) of length 1, float32.

        Parameters
        ----------
        faces
            uint8 (N, H, W, 3), RGB.
        flip
            Add the embeddings of the mirrored faces, as in verification.

        Raises
        ------
        InputError
            The faces have another size, or an embedding is not finite.
        """
        if faces.shape[1:] != (*self.image_size, 3):
            raise InputError(
                f"faces of height and width {faces.shape[1:3]}: the model is bound for "
                f"{self.image_size}; align them in that size"
            )
        images = faces.transpose(0, 3, 1, 2)
        embeddings = embed(self._module, images, self.batch_size)
        if flip:
            embeddings += embed(self._module, images[..., ::-1], self.batch_size)
        if not np.isfinite(embeddings).all():
            raise InputError(f"{self.prefix},{self.epoch}: the model's embeddings are not finite")
        return normalize(embeddings)


def find_face(
    image: np.ndarray,
    detector: Detector,
    image_size: tuple[int, int] = (112, 112),
    choose: Choice = central_face,
    smallest: float = SMALLEST_FACE,
) -> Photo:
    """A photo with its `face`, aligned as a training set is; or with a `reason` why there is none.

    Parameters
    ----------
    image
        uint8 (H, W, 3), RGB
    choose, smallest
        As for `src.align.ladder.align_photos`.
    """
    photo = Photo(image)
    align_photos([photo], detector, image_size, False, choose, smallest)
    return photo
