"""The devices on which a command runs."""

import ctypes
import logging
import os
from collections.abc import Sequence

from src.common.errors import InputError
from src.common.mxnet_backend import installed_wheel, mx

log = logging.getLogger(__name__)

# The mxnet-cu11x wheels contain machine code for 5.0, 6.0, 7.0, 8.0 and 8.6 and no PTX, so a GPU
# works if its major version is one of these.
WHEEL_MAJOR_VERSIONS = (5, 6, 7, 8)

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute, cuda.h


def compute_capabilities() -> list[tuple[int, int]]:
    """(major, minor) of each visible GPU, as the driver reports it; empty without a driver."""
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


def unusable_gpu_reason(
    wheel: tuple[str, str] | None, has_cuda: bool, capabilities: Sequence[tuple[int, int]]
) -> str | None:
    """Why this MXNet cannot use the GPUs, as a clause for a message; None if it can.

    Parameters
    ----------
    wheel
        Name and version of the installed wheel.
    has_cuda
        Whether MXNet was built with CUDA.
    capabilities
        Compute capability (major, minor) of each visible GPU.
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
                    f"{wheel[1]} has no kernels (5.0 to 8.9 work; for Hopper use NVIDIA's MXNet "
                    "container 24.06)"
                )
    return None


def usable_gpus() -> tuple[int, str | None]:
    """(number of usable GPUs, the reason if there is none)."""
    has_cuda = mx.runtime.Features().is_enabled("CUDA")
    capabilities = compute_capabilities() if has_cuda else []
    reason = unusable_gpu_reason(installed_wheel(), has_cuda, capabilities)
    return (0, reason) if reason else (len(capabilities), None)


def parse_devices(text: str) -> list[mx.Context]:
    """Contexts of a list such as 'gpu:0,gpu:1' or 'cpu:0'; the default index is 0.

    Raises
    ------
    InputError
        It is not such a list, or it names a GPU that cannot be used.
    """
    contexts = []
    for part in text.split(","):
        kind, _, index = part.strip().partition(":")
        if kind not in ("cpu", "gpu") or (index and not index.isdecimal()):
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


def training_contexts(devices: str = "") -> list[mx.Context]:
    """The contexts to train on.

    2018: the entries of CUDA_VISIBLE_DEVICES are gpu(0), gpu(1), … in their order; if it is empty,
    the CPU is used. If it is not set, which failed in 2018, all GPUs are used. Without a usable GPU
    the CPU is used, with a warning.

    Parameters
    ----------
    devices
        Overrides the environment, see `parse_devices`.
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


def single_context(gpu: int) -> mx.Context:
    """The context for `--gpu N`; the CPU for -1, an empty CUDA_VISIBLE_DEVICES, or without a GPU.

    Parameters
    ----------
    gpu
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
