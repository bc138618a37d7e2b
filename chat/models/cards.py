"""Which GPUs a model goes to: the first one, or all of them if it is too large for that.

It is cut between its layers, and each card computes its own when its turn comes (accelerate
moves what goes from one to the next), so that several hold more than one and are no faster.
Each gets layers in proportion to its free memory, which leaves as large a part of it for their
keys and values; accelerate's own `infer_auto_device_map` fills the first ones to the brim.
"""

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

import torch
from torch import nn
from transformers import PreTrainedModel

from chat import machine
from chat.errors import ModelError
from chat.models import checkpoint
from chat.models.memory import SMALLER

#: For how much of what it needs a card may be too small, which is room to work in.
LENIENT = 1.1


def free(needed: float) -> list[int]:
    """Return the bytes that are free on each GPU, if any, where a model of `needed` bytes goes."""
    if not torch.cuda.is_available():
        return []
    first = torch.cuda.mem_get_info(0)[0]
    if needed <= first:
        return [first]
    return [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]


def device_map(needed: float, empty: Callable[[], PreTrainedModel]) -> dict[str, int | str]:
    """Return to where each part of a model of `needed` bytes goes, by its name.

    `empty` makes the model without its numbers.

    Raises:
        ModelError: it fits into the memory of all GPUs together, but not its layers into each.
    """
    room = free(needed)
    if len(room) < 2:
        return {"": 0 if room else "cpu"}
    found, shares = _spread(empty(), room)
    full = any(needed * share > one * LENIENT for share, one in zip(shares, room, strict=True))
    if full and needed <= sum(room):
        raise ModelError(
            f"This model fits into the memory of {len(room)} GPUs together, but its layers, which "
            f"stay whole, do not fit into what is free on each. {SMALLER}"
        )
    return dict(found)


def _spread(model: PreTrainedModel, room: list[int]) -> tuple[dict[str, int], list[float]]:
    """Return the GPU of each part of `model`, and the share of its bytes that each GPU has."""
    packed = checkpoint.packed(model)
    sizes: dict[str, float] = {}
    part_of: dict[int, str] = {}  # which of them a tensor came with first
    tied: dict[str, str] = {}
    for name, tensor in [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(),
    ]:
        part = _part(model, name)
        size = tensor.numel() * (checkpoint.NF4_BYTES if id(tensor) in packed else tensor.itemsize)
        if part_of.setdefault(id(tensor), part) != part:
            tied[part] = part_of[id(tensor)]
            size = 0
        sizes[part] = sizes.get(part, 0) + size
    total = sum(sizes.values())
    borders = [sum(room[: index + 1]) / sum(room) for index in range(len(room) - 1)]
    found: dict[str, int] = {}
    shares = [0.0] * len(room)
    order = [name for name, _ in model.named_modules() if name in sizes]
    order += [name for name in sizes if name not in order]
    ends = accumulate(sizes[name] for name in order)
    for name, end in zip(order, ends, strict=True):
        middle = (end - sizes[name] / 2) / total
        found[name] = found[tied[name]] if name in tied else bisect(borders, middle)
        shares[found[name]] += sizes[name] / total
    return found, shares


def _part(model: PreTrainedModel, name: str) -> str:
    """Return what moves together with a tensor: its layer, its module, or itself alone."""
    module: nn.Module = model
    path = name.split(".")[:-1]
    for depth, step in enumerate(path, 1):
        among_layers = isinstance(module, nn.ModuleList)
        module = getattr(module, step)
        if among_layers or not [*module.children()]:
            return ".".join(path[:depth])
    return name


def devices(model: PreTrainedModel) -> list[torch.device]:
    """Return where `model` takes its ids, and where its parts are."""
    return sorted({model.device, *(part.device for part in model.parameters())}, key=str)


def free_beside(model: PreTrainedModel) -> int:
    """Return the bytes of memory that keys and values of `model` can have."""
    found = devices(model)
    if any(device.type != "cuda" for device in found):
        return machine.free_memory()
    # Each card has those of its own layers; the fullest one ends it.
    return len(found) * min(torch.cuda.mem_get_info(device)[0] for device in found)


def lost(model: PreTrainedModel) -> bool:
    """Whether a GPU of `model` is lost to this process: after some errors each call to it fails."""
    try:
        for device in devices(model):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False
