"""Class centres kept on disk during a merge, so that an interrupted merge can be resumed."""

import hashlib
import logging
import os

import numpy as np

from src.checkpoints.names import params_path, parse_model
from src.common.output_files import whole_file
from src.data.merging import FaceSet

log = logging.getLogger(__name__)


class CentreStore:
    """Files `centres-<key>.npz` in a folder; the key depends on model, records and settings.

    Parameters
    ----------
    model
        'prefix,epoch'; '' for none.
    settings
        What else the embeddings depend on: image size, and batch size (with the GNAP head).
    """

    def __init__(self, folder: str, model: str, settings: tuple[tuple[int, int], int]) -> None:
        self._folder = folder
        self._model = model
        self._settings = settings
        self._paths: list[str] = []

    def _path(self, face_set: FaceSet) -> str:
        prefix, epochs = parse_model(self._model)
        parts: list[object] = [len(face_set.ranges), self._settings]
        for path in (params_path(prefix, epochs[0]), face_set.reader.path):
            state = os.stat(path)
            parts += [os.path.realpath(path), state.st_size, state.st_mtime_ns]
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        return os.path.join(self._folder, f"centres-{key}.npz")

    def load(self, face_set: FaceSet) -> tuple[np.ndarray, list[int]] | None:
        """(centres (C, D), numbers of undecodable images) from an earlier run, or None."""
        path = self._path(face_set)
        if not os.path.exists(path):
            return None
        self._paths.append(path)
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                centres, bad = arrays["centres"], arrays["bad"]
            if centres.ndim != 2 or len(centres) != len(face_set.ranges):
                raise ValueError(f"centres of shape {centres.shape}")
            if centres.dtype.kind != "f" or not np.isfinite(centres).all():
                raise ValueError("centres that are not finite numbers")
            if bad.ndim != 1 or bad.dtype.kind not in "iu":
                raise ValueError("no list of image numbers")
        except Exception as error:  # zipfile, zlib and NumPy raise anything on damaged bytes
            reason = error if error.args else type(error).__name__
            log.warning("%s is damaged (%s): the centres are computed again", path, reason)
            return None
        return centres, bad.tolist()

    def save(self, face_set: FaceSet, centres: np.ndarray, bad: list[int]) -> None:
        """Saves the centres of a set; arguments as `load` returns them."""
        path = self._path(face_set)
        with whole_file(path) as file:
            np.savez(file, centres=centres, bad=np.array(bad, np.int64))
        self._paths.append(path)

    def clear(self) -> None:
        """Removes the files that this merge saved or loaded."""
        for path in set(self._paths):  # --exclude may name a set of --include
            os.remove(path)
