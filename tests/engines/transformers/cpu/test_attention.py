"""Packed attention beside transformers' own, in float32."""

from collections.abc import Callable

import pytest
import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel

from chat.engines.transformers.cpu import attention
from chat.engines.transformers.cpu.attention import NAME, pack_groups
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
    pack_groups(model)
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
    pack_groups(model)
    model.generate(torch.arange(1, 9)[None], generation_config=GenerationConfig(max_new_tokens=3))
    # Two layers in each of two steps; four query heads as two rows of two heads.
    assert calls == [(1, 2, 2, 8)] * 4


def test_a_model_that_was_told_to_attend_otherwise_does_so() -> None:
    model = tiny_models.llama(attn_implementation="eager")
    pack_groups(model)
    assert model.config._attn_implementation == "eager"
