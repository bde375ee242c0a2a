"""MXNet, imported in the one way that works on every supported Python, NumPy and CUDA set-up.

All modules write ``from src.common.mxnet_backend import mx``.

MXNet 1.9.1 is from 2021. It needs `distutils`, which Python 3.12 left to setuptools; it reads
`numpy.bool`, which NumPy 1.24 removed; and its CUDA build needs libraries that pip installs where
the dynamic loader does not look.
"""

import contextlib
import ctypes
import glob
import importlib.metadata
import importlib.util
import os
import warnings

import numpy as np

from src.common.errors import InputError, show_input_errors

CPU_INSTALL = "pip install -e '.[cpu]'"
GPU_INSTALL = "pip install -e '.[cu112]'"

# In the order of their dependencies, each loaded for all that come later.
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

# Where a map of 1×1 goes straight into a fully connected layer, as in MobileFaceNet, MXNet 1.9.1's
# oneDNN fusion fails at the second inference on a CPU ("Check failed: !IsMKLDNNData()"). Read when
# a graph is bound, so that it also holds for a Module that the caller binds himself.
CPU_SETTINGS = {"MXNET_DISABLE_MKLDNN_FC_OPT": "1", "MXNET_SUBGRAPH_VERBOSE": "0"}


def installed_wheel():
    """Name and version of the installed MXNet wheel, ('mxnet-cu112', '1.9.1'), or None."""
    for name in ("mxnet-cu112", "mxnet"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return name, importlib.metadata.version(name)
    return None


def preload_cuda_libraries():
    """Loads the CUDA libraries that lie in site-packages/nvidia/*/lib; returns their paths.

    What is missing there is left to the loader: a system-wide CUDA 11.2 serves as well.
    """
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations) if spec else []
    loaded = []
    for library in CUDA_LIBRARIES:
        for folder in folders:
            for path in glob.glob(os.path.join(folder, "*", "lib", library)):
                with contextlib.suppress(OSError):
                    ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
                    loaded.append(path)
    return loaded


def explain_load_failure(message):
    """One sentence for an OSError that the import of MXNet ended in."""
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


def import_mxnet():
    """Imports MXNet; InputError in one sentence where it is missing or cannot be loaded."""
    for name, value in CPU_SETTINGS.items():
        os.environ.setdefault(name, value)
    wheel = installed_wheel()
    if wheel and wheel[0] == "mxnet-cu112":
        preload_cuda_libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(np, "bool"):
            np.bool = bool
        with contextlib.suppress(ImportError):
            import setuptools  # noqa: F401  brings distutils on Python 3.12
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
    return mxnet


try:
    mx = import_mxnet()
except InputError:
    show_input_errors()
    raise
