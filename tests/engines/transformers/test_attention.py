"""Packed attention beside transformers' own, in float32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AttentionInterface, DynamicCache, GenerationConfig, PreTrainedModel

from chat.engines.transformers import attention
from chat.engines.transformers.attention import (
    COPYING,
    NAME,
    packed_attention,
    use_packed_attention,
)
from tests.support import tiny_models


def scores(model: PreTrainedModel, first: int, then: int, mask: torch.Tensor) -> torch.Tensor:
    """Return the scores of `then` tokens that are read after `first` ones."""
    ids = torch.arange(2 * (first + then)).view(2, -1) % 101
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        for part in (slice(0, first), slice(first, first + then)):
            logits = model(ids[:, part], attention_mask=mask[:, : part.stop], past_key_values=cache)
    return logits.logits


def on_an_old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "packed_attention", lambda _: COPYING)


@pytest.mark.parametrize(
    ("device", "capability", "name"),
    [
        ("cpu", None, NAME),
        ("cuda", (6, 1), COPYING),
        ("cuda", (7, 5), COPYING),
        ("cuda", (8, 0), None),
        ("cuda", (9, 0), None),
        ("cuda", (10, 0), None),
        ("meta", None, None),
    ],
)
def test_which_attention_is_quick_is_told_by_the_device_and_its_capability(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int], name: str | None
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    assert packed_attention(torch.device(device)) == name


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2, tiny_models.sliding])
@pytest.mark.parametrize("then", [1, 3])
@pytest.mark.parametrize("padded", [0, 2])
@pytest.mark.parametrize("name", [NAME, COPYING])
def test_the_scores_are_those_of_sdpa(
    make: Callable[[], PreTrainedModel],
    then: int,
    padded: int,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = torch.ones(2, 20 + then, dtype=torch.long)
    mask[1, :padded] = 0
    expected = scores(make(), 20, then, mask)
    model = make()
    monkeypatch.setattr(attention, "packed_attention", lambda _: name)
    use_packed_attention(model)
    assert model.config._attn_implementation == name
    torch.testing.assert_close(scores(model, 20, then, mask), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama-3", "qwen3", "gemma-3", "mistral", "phi-3"])
def test_on_an_old_gpu_no_family_asks_for_the_kernel_of_shared_heads(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """For it there is the plainest alone; neither for a prompt, nor its parts, nor one token."""
    asked: list[tuple[int, int, bool]] = []
    own = torch.nn.functional.scaled_dot_product_attention

    def spy(query: torch.Tensor, key: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        asked.append((query.shape[1], key.shape[1], bool(named.get("enable_gqa"))))
        return own(query, key, *rest, **named)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", spy)
    monkeypatch.setattr(attention, "scaled_dot_product_attention", spy)
    on_an_old_gpu(monkeypatch)
    model = tiny_models.family(kind, 128)
    use_packed_attention(model)
    for then in (1, 3):
        scores(model, 20, then, torch.ones(2, 20 + then, dtype=torch.long))
    assert len(asked) == 2 * 2 * 2
    assert all(queries == keys and not shared for queries, keys, shared in asked)


def test_on_an_old_gpu_a_prompt_looks_ahead_only_where_its_model_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_an_old_gpu(monkeypatch)
    use_packed_attention(tiny_models.llama())
    attend = AttentionInterface()[COPYING]
    query, key = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    module = nn.Module()
    module.num_key_value_groups = 2
    for said in ({}, {"is_causal": True}, {"is_causal": False}):
        expected = attention.sdpa_attention_forward(module, query, key, key, None, **said)
        torch.testing.assert_close(attend(module, query, key, key, None, **said), expected)


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
