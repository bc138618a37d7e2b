"""Attention over the pool, whichever kernel torch takes for it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from chat.engines.batched import attend
from tests.support.batched import LENGTH, SOME, alone, batcher, fresh, job, written
from tests.support.batches import greedy


def test_it_does_not_matter_how_a_kernel_lays_out_its_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have the heads behind the tokens in memory: several heads a group, several tokens."""
    laid_out: list[int] = []

    def other(*given: Any, **named: Any) -> Tensor:
        sums: Tensor = scaled_dot_product_attention(*given, **named)
        laid_out.append(sums.shape[2])
        copy = torch.empty_like(sums.mT.contiguous()).mT.copy_(sums)
        return copy if sums.shape[1] == 1 else copy.transpose(1, 2).contiguous().transpose(1, 2)

    monkeypatch.setattr(attend, "scaled_dot_product_attention", other)
    jobs = [job(number, prompt, greedy(LENGTH)) for number, prompt in enumerate(SOME)]
    expected = [alone("llama-3", prompt, LENGTH) for prompt in SOME]
    assert written(batcher(fresh("llama-3")), *jobs) == expected
    assert max(laid_out) > 1
