"""How long a GPU is asked for: enough for the reply, and no more than that."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, PreTrainedModel

from chat.engines.transformers.lent import Lent


def of_size(layers: int, size: float) -> PreTrainedModel:
    """Return what stands for a model of so many layers and bytes, without the bytes."""
    config = LlamaConfig(hidden_size=64, num_hidden_layers=layers, vocab_size=8)
    model = PreTrainedModel(config)
    model.weights = nn.Parameter(torch.empty(int(size), dtype=torch.int8, device="meta"), False)
    return model


def llama_7b(factor: float = 1, price: float = 1) -> Lent:
    return Lent(of_size(32, 4e9), factor, price)


def test_each_token_that_is_read_or_written_counts_and_written_ones_more() -> None:
    lent = llama_7b()
    start = lent.seconds(1, 1)
    read, written = lent.seconds(8000, 1) - start, lent.seconds(1, 800) - start
    assert 1 <= read < written / 4
    assert lent.seconds(1, 400, passes=2) == lent.seconds(1, 800)


def test_a_larger_model_is_given_longer_to_begin_to_read_and_to_write() -> None:
    small, large = llama_7b(), Lent(of_size(80, 40e9), 1, 1)
    for read, tokens in [(1, 1), (8000, 1), (1, 300)]:
        assert small.seconds(read, tokens) < large.seconds(read, tokens)


def test_what_is_lent_for_each_declared_second_is_not_declared_twice() -> None:
    assert 1.4 < llama_7b().seconds(500, 500) / llama_7b(1.5, 1.5).seconds(500, 500) < 1.6


@pytest.mark.parametrize(("factor", "price"), [(1, 1), (1.5, 1.5), (1, 2)])
def test_nobody_is_asked_for_more_quota_than_everyone_has_a_day(
    factor: float, price: float
) -> None:
    assert llama_7b(factor, price).seconds(8000, 100_000) * price == 120


def test_from_the_first_replies_on_the_slowest_of_the_last_ones_counts_with_some_to_spare() -> None:
    lent = llama_7b()
    estimated = lent.seconds(1, 1000)
    lent.took(seconds=20, tokens=1000)
    faster = lent.seconds(1, 1000)
    assert 20 * 1.3 < faster < estimated
    lent.took(seconds=5, tokens=1000)
    assert lent.seconds(1, 1000) == faster
    lent.took(seconds=50, tokens=1000)
    assert lent.seconds(1, 1000) > estimated
    for _ in range(8):
        lent.took(seconds=20, tokens=1000)
    assert lent.seconds(1, 1000) == faster


def test_replies_of_a_few_tokens_tell_nothing_and_quick_drafts_not_much() -> None:
    lent = llama_7b()
    estimated = lent.seconds(1, 1000)
    lent.took(seconds=0.001, tokens=3)
    assert lent.seconds(1, 1000) == estimated
    lent.took(seconds=0.001, tokens=1000)
    assert lent.seconds(1, 1000) > estimated / 2


def test_guidance_takes_twice_as_long_for_each_token_and_says_so() -> None:
    guided, plain = llama_7b(), llama_7b()
    guided.took(seconds=40, tokens=1000, passes=2)
    plain.took(seconds=20, tokens=1000)
    assert guided.seconds(1, 1000) == plain.seconds(1, 1000)
