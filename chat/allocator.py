"""How torch takes the memory of a GPU: in segments that grow, so that no room is too small to use.

KV caches come in every size, and each would leave a segment behind that fits no other
(torch, CUDA semantics, expandable_segments). torch reads this as it is imported.
"""

import os
import re
from pathlib import Path

NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
KERNEL = Path("/proc/sys/kernel/osrelease")
#: A part of a GPU, by its name or as Docker counts them: GPU:part.
PART = re.compile(r"MIG|\b\d+:\d+\b")


def grow_segments() -> None:
    """Have them grow, unless the environment says how, or it would fail: WSL, MIG, ZeroGPU.

    With drivers of WSL before R615 the first allocation fails (pytorch/pytorch#192330); parts of
    a GPU have no NVML, which it asks; and ZeroGPU plays a GPU in one process for others.
    """
    environment = os.environ
    visible = (environment.get(f"{maker}_VISIBLE_DEVICES", "") for maker in ("CUDA", "NVIDIA"))
    if (
        any(name in environment for name in NAMES)
        or any(PART.search(devices) for devices in visible)
        or environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
        or _on_wsl()
    ):
        return
    environment[NAMES[0]] = "expandable_segments:True"


def _on_wsl() -> bool:
    try:
        return "microsoft" in KERNEL.read_text().lower()
    except OSError:
        return False
