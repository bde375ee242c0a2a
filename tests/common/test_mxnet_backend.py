import os
import subprocess
import sys

import numpy as np
import pytest

from src.common import mxnet_backend
from src.common.errors import InputError

NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2])


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("libcuda.so.1: cannot open shared object file", "no NVIDIA driver"),
        ("libquadmath.so.0: cannot open shared object file", "apt-get install libquadmath0"),
        ("libcudnn.so.8: cannot open shared object file", r"pip install -e '.\[cu112\]'"),
    ],
)
def test_a_missing_library_is_named_with_the_fix(monkeypatch, message, remedy):
    class Loader:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "mxnet":
                raise OSError(message)

    monkeypatch.delitem(sys.modules, "mxnet")
    monkeypatch.setattr(sys, "meta_path", [Loader, *sys.meta_path])
    with pytest.raises(InputError, match=remedy):
        mxnet_backend.import_mxnet()


def test_without_mxnet_the_error_gives_the_install_commands(monkeypatch):
    monkeypatch.setitem(sys.modules, "mxnet", None)
    with pytest.raises(InputError, match="not installed"):
        mxnet_backend.import_mxnet()


def test_cuda_libraries_are_loaded_from_site_packages(monkeypatch, tmp_path):
    folder = tmp_path / "nvidia" / "cudnn" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcudnn.so.8").write_bytes(b"")
    (tmp_path / "nvidia" / "cublas" / "lib").mkdir(parents=True)
    (tmp_path / "nvidia" / "cublas" / "lib" / "libcublas.so.11").write_bytes(b"")
    loaded = []
    monkeypatch.setattr(mxnet_backend.ctypes, "CDLL", lambda path, mode: loaded.append(path))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert mxnet_backend.preload_cuda_libraries() == loaded
    assert [path.rsplit("/", 1)[1] for path in loaded] == ["libcublas.so.11", "libcudnn.so.8"]


def test_mxnet_runs_with_this_numpy():
    assert mxnet_backend.mx.nd.ones((2, 3)).asnumpy().sum() == 6
    assert np.dtype(np.float32).itemsize == 4


def import_in_order(repository, *lines):
    """Runs the lines of a script of 2018 in a new process."""
    lines = (*lines, "import mxnet as mx", "import face_preprocess", "mx.nd.ones(1).asnumpy()")
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{repository / 'src/common'}:{repository}"},
    )  # fmt: skip


@pytest.mark.skipif(NUMPY >= (1, 24), reason="NumPy is newer than MXNet")
def test_mxnet_can_be_imported_first(repository):
    done = import_in_order(repository)
    assert done.returncode == 0, done.stderr


def test_the_line_that_readme_gives_makes_mxnet_importable(repository):
    line = "import src.common.mxnet_backend"
    assert f"```python\n{line}\n```" in (repository / "README.md").read_text(encoding="utf-8")
    done = import_in_order(repository, line)
    assert done.returncode == 0, done.stderr
