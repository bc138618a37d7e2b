"""The NVIDIA driver, asked without torch (CUDA driver API): what keeps a GPU from being used.

torch says no more than that there is none. If its build needs a newer driver, or a newer
GPU, a machine with a GPU would answer on its CPU, with a small model and without a word.
"""

import ctypes
import os
import re
from collections.abc import Sequence
from typing import Any

LIBRARY = "libcuda.so.1"
#: What cuInit returns where there is no GPU: in a container without one, in an image to build in.
NO_DEVICE, STUB_LIBRARY = 100, 34
#: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
MAJOR, MINOR = 75, 76
ON_CPU = "To go on without the GPU, set CUDA_VISIBLE_DEVICES to nothing (CUDA_VISIBLE_DEVICES=)."


def library() -> Any:
    """Return the driver's library, or None if there is none, or its GPUs are to be hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles"):
        return None
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None


def unused(cuda: Any, built_for: str | None) -> str | None:
    """Return why torch finds no GPU, if there is one, and the ways out; None if there is none.

    `built_for` is the version of CUDA that torch was built for, if it was for one.
    """
    error, gpus = cuda.cuInit(0), ctypes.c_int()
    if error in (NO_DEVICE, STUB_LIBRARY):
        return None
    error = error or cuda.cuDeviceGetCount(ctypes.byref(gpus))
    if error:
        return (
            f"The driver of this machine's NVIDIA GPU does not work (CUDA error {error}). Restart "
            f"the machine, or install the driver again; nvidia-smi may tell more. {ON_CPU}"
        )
    if not gpus.value:
        return None
    if not built_for:
        return (
            "The NVIDIA GPU of this machine is not used: the torch that is installed was built for "
            "CPUs. Install one that was built for CUDA to use it."
        )
    major, minor = _version(cuda)
    if major < int(built_for.partition(".")[0]):
        return (
            "The driver of this machine's NVIDIA GPU is too old for the torch that is installed: "
            f"it knows CUDA up to {major}.{minor}, and torch was built for CUDA {built_for}. "
            f"Install a newer driver, or a torch built for CUDA {major}.x. {ON_CPU}"
        )
    return (
        "This machine has an NVIDIA GPU, and torch cannot use it, although its driver knows CUDA "
        f"{major}.{minor} and torch was built for {built_for}; nvidia-smi may tell why. {ON_CPU}"
    )


def too_old(cuda: Any, architectures: Sequence[str]) -> str | None:
    """Return why torch has nothing that runs on the first GPU, and the ways out, if it has not.

    `architectures` are those that torch was built for, as it names them: `sm_75`.
    """
    built = [int(match[1]) for one in architectures if (match := re.match(r"sm_(\d+)", one))]
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    failed = (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device)
    )
    if failed or not built or 10 * major.value + minor.value >= min(built):
        return None
    return (
        f"The GPU of this machine has compute capability {major.value}.{minor.value}, and the "
        f"torch that is installed was built for {min(built) / 10:.1f} and later. Install a torch "
        f"built for an older CUDA, which still knows this GPU. {ON_CPU}"
    )


def _version(cuda: Any) -> tuple[int, int]:
    """Return the version of CUDA that the driver knows: of 12040, 12 and 4."""
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000, version.value % 1000 // 10
