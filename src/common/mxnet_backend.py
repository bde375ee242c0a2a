"""MXNet, imported in a way that works on every supported Python, NumPy and CUDA installation.

All modules write ``from src.common.mxnet_backend import mx``.

MXNet 1.9.1 is from 2021. It needs `distutils`, which since Python 3.12 only setuptools provides;
`numpy.bool`, which NumPy 1.24 removed; and, for its CUDA build, libraries that pip installs where
the dynamic loader does not look for them.
"""

import contextlib
import ctypes
import glob
import importlib.metadata
import importlib.util
import os
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from src.common.errors import InputError, show_input_errors
from src.common.launcher_link import follow_launcher

__all__ = ["Parameters", "import_mxnet", "installed_wheel", "mx", "preload_cuda_libraries"]

CPU_INSTALL = "pip install -e '.[cpu]'"
GPU_INSTALL = "pip install -e '.[cu112]'"

# In the order of their dependencies: each is needed by later ones.
CUDA_LIBRARIES = (
    "libcudart.so.11.0",
    "libnvrtc.so.11.2",
    "libnvToolsExt.so.1",
    "libcublasLt.so.11",
    "libcublas.so.11",
    "libcusparse.so.11",
    "libcufft.so.10",
    "libcurand.so.10",
    "libcusolver.so.11",
    "libcudnn.so.8",
    "libnccl.so.2",
)

# If a 1×1 map is the input of a fully connected layer, as in MobileFaceNet, MXNet 1.9.1's oneDNN
# fusion fails at the second inference on a CPU ("Check failed: !IsMKLDNNData()"). MXNet reads the
# setting when a graph is bound, so it also works for a Module that the caller binds.
CPU_SETTINGS = {"MXNET_DISABLE_MKLDNN_FC_OPT": "1", "MXNET_SUBGRAPH_VERBOSE": "0"}


ROLE = "DMLC_ROLE"  # of a process in distributed training: worker, server or scheduler


def installed_wheel() -> tuple[str, str] | None:
    """Name and version of the installed MXNet wheel, ('mxnet-cu112', '1.9.1'), or None."""
    for name in ("mxnet-cu112", "mxnet"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return name, importlib.metadata.version(name)
    return None


def preload_cuda_libraries() -> list[str]:
    """Loads the CUDA libraries in site-packages/nvidia/*/lib; returns their paths.

    Missing ones are left to the loader: a system-wide CUDA 11.2 works as well.
    """
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    loaded = []
    for library in CUDA_LIBRARIES:
        for folder in folders:
            for path in glob.glob(os.path.join(folder, "*", "lib", library)):
                with contextlib.suppress(OSError):
                    ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
                    loaded.append(path)
    return loaded


def explain_load_failure(message: str) -> str:
    """One sentence that explains an OSError raised by the import of MXNet, given its text."""
    if "libcuda.so" in message:
        return (
            "mxnet-cu112 is installed, but this machine has no NVIDIA driver (libcuda.so.1): "
            f"install the driver, or use the CPU: pip uninstall -y mxnet-cu112 && {CPU_INSTALL}"
        )
    if "libquadmath" in message or "libgomp" in message:
        return (
            f"MXNet needs a system library ({message.split(':')[0]}): "
            "apt-get install libquadmath0 libgomp1 (Debian, Ubuntu) "
            "or dnf install libquadmath libgomp (Fedora, RHEL)"
        )
    library = message.split(":")[0]
    return f"MXNet cannot load {library} ({message}); for the GPU libraries run {GPU_INSTALL}"


def import_mxnet() -> ModuleType:
    """Imports MXNet; raises InputError, in one sentence, if it is missing or cannot be loaded."""
    for name, value in CPU_SETTINGS.items():
        os.environ.setdefault(name, value)
    wheel = installed_wheel()
    if wheel and wheel[0] == "mxnet-cu112":
        preload_cuda_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(np, "bool"):
            np.bool = bool  # type: ignore[attr-defined]
        with contextlib.suppress(ImportError):
            import setuptools  # noqa: F401  provides distutils on Python 3.12
        # MXNet becomes a parameter server while it is imported, if it sees this role. Then it could
        # not read an optimizer of this project, whose modules need a complete MXNet; see `serve`.
        role = os.environ.pop(ROLE, None)
        try:
            import mxnet
        except ModuleNotFoundError as error:
            if error.name != "mxnet":
                raise
            raise InputError(
                f"MXNet is not installed: {CPU_INSTALL} for the CPU, {GPU_INSTALL} for CUDA 11.2"
            ) from None
        except OSError as error:
            raise InputError(explain_load_failure(str(error))) from None
        finally:
            if role is not None:
                os.environ[ROLE] = role
    return mxnet


def serve(mxnet: ModuleType) -> None:
    """Serves until the workers have finished, and exits, in a server or scheduler process.

    As in MXNet, all processes of a distributed run may start the same script; `DMLC_ROLE`
    distinguishes them.
    """
    if os.environ.get(ROLE) in ("server", "scheduler"):
        follow_launcher()
        mxnet.kvstore.kvstore_server._init_kvstore_server_module()


if TYPE_CHECKING:
    import mxnet as mx
else:
    try:
        mx = import_mxnet()
    except InputError:
        show_input_errors()
        raise

Parameters = dict[str, "mx.nd.NDArray"]
"""Arrays by name, as in a checkpoint."""

if not TYPE_CHECKING:
    serve(mx)
