"""CUDA GPUs that are not there, as far as torch tells of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from chat import load
from chat.models import quantize  # noqa: F401  bitsandbytes looks for what is really there


@contextmanager
def cards(*free: float, capability: tuple[int, int] = (8, 0)) -> Iterator[None]:
    """Have as many of them, with so many free bytes each, until the end of the block."""

    def memory(device: int | torch.device = 0) -> tuple[int, int]:
        at = device if isinstance(device, int) else device.index or 0
        return int(free[at]), int(free[at])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "has_cuda", lambda: True)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: len(free))
        patch.setattr(torch.cuda, "mem_get_info", memory)
        patch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        yield
