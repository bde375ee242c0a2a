"""Class centres kept on disk during a merge, so that an interrupted merge can be resumed."""

import contextlib
import hashlib
import os
import zipfile

import numpy as np

from src.checkpoints.names import params_path, parse_model
from src.common.output_files import whole_file
from src.data.merging import FaceSet


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
        with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, KeyError):
            with np.load(path, allow_pickle=False) as arrays:
                found = arrays["centres"], arrays["bad"].tolist()
            self._paths.append(path)
            return found
        return None

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
