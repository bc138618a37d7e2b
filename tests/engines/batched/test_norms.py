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


def test_small_weights_in_16_bits_are_no_reason_against_it() -> None:
    """Whose results have few digits there."""
    norm = type(fresh("qwen3").model.norm)(4096).half()
    norm.weight.data.fill_(0.003)
    assert fuse(norm) == 1


@pytest.mark.parametrize("family", ["gemma-3", "gpt2"])
def test_others_are_left_as_they_are(family: str) -> None:
    """Gemma's add one to their weights; GPT-2's are of another kind."""
    model = fresh(family).float()
    assert fuse(model) == 0
    assert not any("forward" in vars(part) for part in model.modules())


class RMSNorm(nn.Module):
    """One of another kind, by the name of its class."""

    def __init__(self, weight: torch.Tensor, eps: float = 1e-6, own: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps, self._own = nn.Parameter(weight), eps, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(x, self.weight.shape, self.weight, self._own)


class PlusOne(RMSNorm):
    """As Gemma's are, of which some weights are large."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(x, self.weight.shape, 1 + self.weight, self.eps)


PlusOne.__name__ = "PlusOneRMSNorm"


def test_it_goes_by_what_they_compute() -> None:
    large = torch.zeros(512)
    large[7] = 400.0
    assert fuse(RMSNorm(large)) == 1
    assert fuse(PlusOne(large)) == 0
    assert fuse(PlusOne(large.bfloat16())) == 0
    assert fuse(RMSNorm(torch.ones(512), eps=1e-12, own=1e-4)) == 0
    assert fuse(RMSNorm(torch.full((8,), torch.nan))) == 0
    assert fuse(RMSNorm(torch.ones(8).double())) == 0


def test_one_without_weights_or_epsilon_is_left_as_it_is() -> None:
    norm = RMSNorm(torch.ones(8))
    del norm.eps
    assert fuse(norm) == 0
    norm = RMSNorm(torch.ones(8))
    norm.weight = None
    assert fuse(norm) == 0


def test_numbers_of_another_type_go_the_usual_way() -> None:
    norm = fresh("qwen3").float().model.norm
    x = torch.randn(2, 64).bfloat16()
    expected = norm(x)
    assert fuse(norm) == 1
    assert norm(x).dtype == expected.dtype == torch.float32
    assert torch.equal(norm(x), expected)
