"""Packed attention beside transformers' own, in float32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AttentionInterface, DynamicCache, GenerationConfig, PreTrainedModel

from chat.engines.transformers.cpu import attention
from chat.engines.transformers.cpu.attention import NAME, use_packed_attention
from tests.support import tiny_models


def scores(model: PreTrainedModel, first: int, then: int, mask: torch.Tensor) -> torch.Tensor:
    """Return the scores of `then` tokens that are read after `first` ones."""
    ids = torch.arange(2 * (first + then)).view(2, -1) % 101
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        for part in (slice(0, first), slice(first, first + then)):
            logits = model(ids[:, part], attention_mask=mask[:, : part.stop], past_key_values=cache)
    return logits.logits


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2, tiny_models.sliding])
@pytest.mark.parametrize("then", [1, 3])
@pytest.mark.parametrize("padded", [0, 2])
def test_the_scores_are_those_of_sdpa(
    make: Callable[[], PreTrainedModel], then: int, padded: int
) -> None:
    mask = torch.ones(2, 20 + then, dtype=torch.long)
    mask[1, :padded] = 0
    expected = scores(make(), 20, then, mask)
    model = make()
    use_packed_attention(model)
    assert model.config._attn_implementation == NAME
    torch.testing.assert_close(scores(model, 20, then, mask), expected, rtol=1e-5, atol=1e-5)


def test_one_new_token_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    own = attention.scaled_dot_product_attention

    def spy(query: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
        calls.append(tuple(query.shape))
        return own(query, *rest, **named)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", spy)
    model = tiny_models.llama()
    use_packed_attention(model)
    model.generate(torch.arange(1, 9)[None], generation_config=GenerationConfig(max_new_tokens=3))
    # Two layers in each of two steps; four query heads as two rows of two heads.
    assert calls == [(1, 2, 2, 8)] * 4


def test_a_model_that_was_told_to_attend_otherwise_does_so() -> None:
    model = tiny_models.llama(attn_implementation="eager")
    use_packed_attention(model)
    assert model.config._attn_implementation == "eager"


NEW = {"of_next_year": 1.0}


@pytest.mark.parametrize(
    ("extra", "passed_on"),
    [
        (NEW, NEW),
        ({"of_next_year": torch.zeros(1)}, {"of_next_year": torch.zeros(1)}),
        ({"softcap": 30.0}, {"softcap": 30.0}),
        ({"dropout": 0.1}, {"dropout": 0.1}),
        ({"dropout": 0.0, "of_next_year": None, "flag": False}, None),
        ({"position_ids": torch.zeros(1), "use_cache": True, "sliding_window": 4096}, None),
    ],
    ids=lambda value: str(value and list(value)),
)
def test_what_is_not_known_here_goes_to_transformers_own_function(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], passed_on: dict[str, Any] | None
) -> None:
    """For one new token, which takes the short way otherwise."""
    given: list[dict[str, Any]] = []

    def theirs(*tensors: Any, **named: Any) -> str:
        assert len(tensors) == 5
        given.append(named)
        return "theirs"

    monkeypatch.setattr(attention, "sdpa_attention_forward", theirs)
    use_packed_attention(tiny_models.llama())
    query, key, mask = torch.ones(1, 4, 1, 8), torch.ones(1, 2, 9, 8), torch.ones(1, 1, 1, 9)
    attend = AttentionInterface()[NAME]
    result = attend(nn.Module(), query, key, key, mask, scaling=0.5, **extra)
    if passed_on is None:
        assert result[0].shape == (1, 1, 4, 8)
        assert given == []
    else:
        assert result == "theirs"
        assert given == [{"dropout": 0.0, "scaling": 0.5, **passed_on}]
