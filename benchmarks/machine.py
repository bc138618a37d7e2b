"""What a result has to say beside its figures: when, where, and with which versions."""

import os
import platform
from datetime import date
from importlib import metadata
from pathlib import Path

import psutil

PACKAGES = ("torch", "transformers", "gradio", "bitsandbytes", "openvino", "openvino-genai")


def describe() -> dict[str, str]:
    """Return the head of a result."""
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
    }


def _cpu() -> str:
    names: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        names.setdefault(name.strip(), value.strip())
    return names.get("model name") or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
