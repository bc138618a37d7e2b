"""Which GPUs a model goes to, and what of it to which; there are none here but in torch's words."""

import re
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from accelerate.utils import check_device_map
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedModel

from chat.errors import ModelError
from chat.models import cards, checkpoint
from tests.support import cards as support
from tests.support.families import OTHERS, PLAIN, SHAPE

FAMILIES = {**PLAIN, **{name: make for name, (make, _) in OTHERS.items()}}


def empty(config: PreTrainedConfig) -> PreTrainedModel:
    config.vocab_size = 600
    return checkpoint.empty(config, torch.bfloat16)


def deep(layers: int = 40) -> PreTrainedModel:
    return empty(LlamaConfig(**SHAPE | {"num_hidden_layers": layers}))


def spread(model: PreTrainedModel, *free: float, needed: float = 100) -> dict[str, Any]:
    with support.cards(*free):
        return cards.device_map(needed, lambda: model)


def never() -> PreTrainedModel:
    raise AssertionError("nothing is to be divided")


def shares(model: PreTrainedModel, found: dict[str, Any], gpus: int) -> list[float]:
    """Return what part of the bytes in 4 bits each GPU has."""
    packed, sizes = checkpoint.packed(model), [0.0] * gpus
    for name, part in model.named_parameters():
        (device,) = {found[key] for key in found if name == key or name.startswith(f"{key}.")}
        sizes[device] += part.numel() * (0.52 if id(part) in packed else part.itemsize)
    return [size / sum(sizes) for size in sizes]


def test_a_model_goes_where_it_has_room_whole() -> None:
    assert cards.device_map(100, never) == {"": "cpu"}
    assert cards.free(100) == []
    for free in [(100,), (100, 500), (99,)]:
        with support.cards(*free):
            assert cards.device_map(100, never) == {"": 0}
            assert cards.free(100) == [free[0]]


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_each_family_is_cut_between_its_layers_and_nothing_of_it_is_forgotten(
    make: Callable[[], PreTrainedConfig],
) -> None:
    model = empty(make())
    found = spread(model, 90, 90)
    check_device_map(model, found)
    for name in [*dict(model.named_parameters()), *dict(model.named_buffers())]:
        assert sum(name == part or name.startswith(f"{part}.") for part in found) == 1
    assert set(found.values()) == {0, 1}
    layers = [device for name, device in found.items() if re.search(r"\.(layers|h)\.\d+$", name)]
    assert layers == sorted(layers)
    assert len(layers) == 2
    assert not any(re.search(r"\.(layers|h)\.\d+\.", name) for name in found)


def test_what_two_parts_share_is_on_one_gpu() -> None:
    model = empty(PLAIN["Qwen3, tied"]())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    found = spread(model, 60, 60)
    assert found["lm_head"] == found["model.embed_tokens"] == 0
    untied = spread(empty(PLAIN["Qwen3"]()), 60, 60)
    assert (untied["model.embed_tokens"], untied["lm_head"]) == (0, 1)


@pytest.mark.parametrize("free", [(60, 60), (30, 90), (90, 30), (40, 40, 40), (28, 28, 28, 28)])
def test_each_gpu_has_as_large_a_part_as_its_free_memory_is(free: tuple[float, ...]) -> None:
    model = deep()
    found = spread(model, *free)
    part_of_memory = [one / sum(free) for one in free]
    assert shares(model, found, len(free)) == pytest.approx(part_of_memory, abs=0.7 / 40)
    layers = [found[f"model.layers.{index}"] for index in range(40)]
    assert all(one <= other for one, other in pairwise(layers))


def test_what_fits_only_together_and_not_by_layers_is_refused_in_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"^This model fits into the memory of 3 GPUs together, "):
        spread(deep(1), 34, 34, 34)


def stand_in(*devices: str) -> Any:
    parts = [SimpleNamespace(device=torch.device(one)) for one in devices]
    return SimpleNamespace(device=parts[0].device, parameters=lambda: parts)


def test_the_fullest_gpu_says_how_much_is_free_beside_a_model() -> None:
    with support.cards(30, 10, 90):
        assert cards.free_beside(stand_in("cuda:0", "cuda:0")) == 30
        assert cards.free_beside(stand_in("cuda:0", "cuda:1", "cuda:2")) == 3 * 10
    free = cards.free_beside(stand_in("cpu"))
    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_each_gpu_of_a_model_is_asked_whether_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(device: torch.device) -> None:
        if device.index == 1:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert cards.lost(stand_in("cuda:0", "cuda:1"))
    assert not cards.lost(stand_in("cuda:0", "cuda:2"))
    assert not cards.lost(stand_in("cpu"))
