"""Norms as one kernel: the same numbers, of every family, and only where they are."""

from typing import Any

import pytest
import torch
from torch import nn

from chat.engines.batched.norms import fuse
from tests.support.batched import fresh


def norms(model: nn.Module) -> list[nn.Module]:
    return [part for part in model.modules() if type(part).__name__.endswith("RMSNorm")]


@pytest.mark.parametrize("family", ["llama-3", "qwen3", "mistral", "phi-3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_they_give_what_they_gave(family: str, dtype: torch.dtype) -> None:
    model: Any = fresh(family).to(dtype)
    ids = torch.tensor([[3, 4, 5, 6]])
    expected = model(ids).logits
    assert fuse(model) == len(norms(model)) > 0
    assert all("forward" in vars(norm) for norm in norms(model))
    close = 1e-4 if dtype == torch.float32 else 0.05
    assert (model(ids).logits - expected).abs().max() <= close * expected.abs().max()


@pytest.mark.parametrize("family", ["gemma-3", "gpt2"])
def test_others_are_left_as_they_are(family: str) -> None:
    """Gemma's add one to their weights; GPT-2's are of another kind."""
    model = fresh(family).float()
    assert fuse(model) == 0
    assert not any("forward" in vars(part) for part in model.modules())


class RMSNorm(nn.Module):
    """One that gives no numbers."""

    eps = 1e-6

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((8,), torch.nan))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_one_that_would_give_no_numbers_is_left_as_it_is() -> None:
    assert fuse(RMSNorm()) == 0
