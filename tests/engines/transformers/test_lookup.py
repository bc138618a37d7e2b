"""Prompt lookup on a cache that holds part of the prompt, token by token against plain greedy."""

from collections.abc import Callable

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from chat.engines.transformers.kv_cache import GrowingCache
from chat.engines.transformers.lookup import read_only_what_is_new
from tests.support import tiny_models

PROMPT = [1, 2, 3, 4, 5, 2, 3] * 5


def write(
    model: PreTrainedModel, prompt: list[int], drafts: int | None, cache: GrowingCache | None
) -> list[int]:
    ids = torch.tensor([prompt])
    config = GenerationConfig(
        max_new_tokens=20,
        do_sample=False,
        repetition_penalty=1.1,
        prompt_lookup_num_tokens=drafts,
    )
    with torch.inference_mode():
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            past_key_values=cache,
        )
    return whole[0, len(prompt) :].tolist()


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2])
@pytest.mark.parametrize("held", [0, 1, 20, len(PROMPT) - 1])
@pytest.mark.parametrize("drafts", [1, 4, 10])
def test_drafts_do_not_change_what_is_written(
    make: Callable[[], PreTrainedModel], held: int, drafts: int
) -> None:
    model = make()
    expected = write(make(), PROMPT, None, None)
    read_only_what_is_new(model)
    cache = GrowingCache.empty(2)
    write(model, PROMPT, None, cache)
    cache.cut(held)
    assert write(model, PROMPT, drafts, cache) == expected
    # All but the last token have been read, and nothing that was only drafted is left.
    assert cache.length == len(PROMPT) + len(expected) - 1
