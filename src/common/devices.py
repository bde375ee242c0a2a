"""Which devices a command runs on."""

import ctypes
import logging
import os

from src.common.errors import InputError
from src.common.mxnet_backend import installed_wheel, mx

log = logging.getLogger(__name__)

# Machine code in the mxnet-cu11x wheels: 5.0, 6.0, 7.0, 8.0, 8.6 and no PTX, so a card runs if its
# major version is one of these.
WHEEL_MAJOR_VERSIONS = (5, 6, 7, 8)

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute, cuda.h


def compute_capabilities():
    """List of (major, minor), one a visible GPU, asked of the driver; empty without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    capabilities = []
    for ordinal in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        driver.cuDeviceGet(ctypes.byref(device), ordinal)
        driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device)
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device)
        capabilities.append((major.value, minor.value))
    return capabilities


def unusable_gpu_reason(wheel, has_cuda, capabilities):
    """Why this MXNet cannot use the GPUs, as half a sentence; None where it can.

    Parameters
    ----------
    wheel : (str, str) or None
        Name and version of the installed wheel.
    has_cuda : bool
        Whether MXNet was built with CUDA.
    capabilities : list of (int, int)
        Compute capability of each visible GPU.
    """
    if not has_cuda:
        return "this MXNet is built for the CPU (GPU: pip install -e '.[cu112]')"
    if not capabilities:
        return "no NVIDIA GPU is visible"
    if wheel and wheel[0].startswith("mxnet-cu"):
        for major, minor in capabilities:
            if major not in WHEEL_MAJOR_VERSIONS:
                return (
                    f"the GPU has compute capability {major}.{minor}, for which {wheel[0]} "
                    f"{wheel[1]} has no kernels (5.0 to 8.9 run; for Hopper use NVIDIA's MXNet "
                    "container 24.06)"
                )
    return None


def usable_gpus():
    """(number of usable GPUs, reason why there is none or None)."""
    has_cuda = mx.runtime.Features().is_enabled("CUDA")
    capabilities = compute_capabilities() if has_cuda else []
    reason = unusable_gpu_reason(installed_wheel(), has_cuda, capabilities)
    return (0, reason) if reason else (len(capabilities), None)


def parse_devices(text):
    """Contexts of a comma list, 'cpu:0,cpu:1' or 'gpu:0'; the index may be left out.

    Raises
    ------
    InputError
        It is no such list, or names a GPU that cannot be used.
    """
    contexts = []
    for part in text.split(","):
        kind, _, index = part.strip().partition(":")
        if kind not in ("cpu", "gpu") or (index and not index.isdigit()):
            raise InputError(f"--devices {text}: expected a list like gpu:0,gpu:1 or cpu:0")
        contexts.append(mx.Context(kind, int(index or 0)))
    wanted = [context.device_id for context in contexts if context.device_type == "gpu"]
    if wanted:
        available, reason = usable_gpus()
        if reason:
            raise InputError(f"--devices {text}: {reason}")
        if max(wanted) >= available:
            raise InputError(f"--devices {text}: {available} GPUs are visible, numbered from 0")
    return contexts


def training_contexts(devices=""):
    """The contexts to train on.

    2018: the entries of CUDA_VISIBLE_DEVICES are gpu(0), gpu(1), … in their order; an empty one
    means the CPU. Unset, which 2018 did not bear, means all GPUs. Without a usable GPU the CPU is
    taken, and a line says so.

    Parameters
    ----------
    devices : str
        Overrides the environment: 'cpu:0,cpu:1'.
    """
    if devices:
        return parse_devices(devices)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not visible.strip():
        return [mx.cpu()]
    available, reason = usable_gpus()
    wanted = available if visible is None else len(visible.split(","))
    if reason:
        log.warning("using the CPU: %s", reason)
        return [mx.cpu()]
    if wanted > available:
        raise InputError(
            f"CUDA_VISIBLE_DEVICES={visible} names {wanted} GPUs, but {available} are visible"
        )
    return [mx.gpu(index) for index in range(wanted)]


def single_context(gpu):
    """The context for `--gpu N`; the CPU for -1, an empty CUDA_VISIBLE_DEVICES, or without a GPU.

    Parameters
    ----------
    gpu : int
        Index among the visible GPUs.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpu < 0 or (visible is not None and not visible.strip()):
        return mx.cpu()
    available, reason = usable_gpus()
    if reason:
        log.warning("using the CPU: %s", reason)
        return mx.cpu()
    if gpu >= available:
        raise InputError(f"--gpu {gpu}: {available} GPUs are visible, numbered from 0")
    return mx.gpu(gpu)
