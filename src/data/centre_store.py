"""Class centres kept on disk until a merge is done, so that a stopped one goes on."""

import contextlib
import hashlib
import os
import zipfile

import numpy as np

from src.common.checkpoint_names import params_path, parse_model
from src.common.output_files import whole_file


class CentreStore:
    """Files `centres-<key>.npz` in a folder; the key changes with model, records and settings.

    Parameters
    ----------
    folder : str
    model : str
        'prefix,epoch'; '' for none.
    settings : tuple
        What else the embeddings depend on: image size, and batch size (with the GNAP head).
    """

    def __init__(self, folder, model, settings):
        self._folder = folder
        self._model = model
        self._settings = settings
        self._paths = []

    def _path(self, face_set):
        prefix, epochs = parse_model(self._model)
        parts = [len(face_set.ranges), self._settings]
        for path in (params_path(prefix, epochs[0]), face_set.reader.path):
            state = os.stat(path)
            parts += [os.path.realpath(path), state.st_size, state.st_mtime_ns]
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        return os.path.join(self._folder, f"centres-{key}.npz")

    def load(self, face_set):
        """(centres, numbers of undecodable images) that an earlier run left, or None."""
        path = self._path(face_set)
        with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, KeyError):
            with np.load(path, allow_pickle=False) as arrays:
                found = arrays["centres"], arrays["bad"].tolist()
            self._paths.append(path)
            return found
        return None

    def save(self, face_set, centres, bad):
        """Keeps the centres of a set."""
        path = self._path(face_set)
        with whole_file(path) as file:
            np.savez(file, centres=centres, bad=np.array(bad, np.int64))
        self._paths.append(path)

    def clear(self):
        """Removes what this merge kept."""
        for path in set(self._paths):  # --exclude may name a set of --include
            os.remove(path)
