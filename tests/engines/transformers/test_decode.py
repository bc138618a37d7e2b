"""chat.engines.transformers.decode: the loop over past_key_values, beside transformers' own."""

from collections.abc import Callable

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from chat.engines.transformers.decode import Step, decode
from tests.support import tiny_models

PROMPT = [5, 6, 7, 8, 9]
NEVER = 128  # beyond the vocabulary


@pytest.fixture(params=[tiny_models.gpt2, tiny_models.llama])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    make: Callable[[], PreTrainedModel] = request.param
    return make()


def ids(steps: list[Step]) -> list[int]:
    return [step.id for step in steps]


def test_the_loop_gives_the_tokens_of_generate(model: PreTrainedModel) -> None:
    config = GenerationConfig(do_sample=False, max_new_tokens=40, pad_token_id=0)
    prompt = torch.tensor([PROMPT])
    generated = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), generation_config=config
    )
    expected = generated[0, len(PROMPT) :].tolist()
    assert len(set(expected)) > 5, "a model that repeats itself would prove nothing"
    assert ids(list(decode(model, PROMPT, 40, {NEVER}))) == expected


def test_the_prompt_is_read_once_and_then_each_token_once(model: PreTrainedModel) -> None:
    heads = {"gpt2": 2, "llama": 2}[model.config.model_type]
    size = {"gpt2": 16, "llama": 8}[model.config.model_type]
    steps = list(decode(model, PROMPT, 4, {NEVER}))
    assert [step.input for step in steps] == [(1, 5), (1, 1), (1, 1), (1, 1)]
    assert [step.layers for step in steps] == [2] * 4
    assert [step.cache for step in steps] == [(1, heads, tokens, size) for tokens in (5, 6, 7, 8)]


def test_it_ends_after_a_stop_token_which_is_given_too(model: PreTrainedModel) -> None:
    whole = ids(list(decode(model, PROMPT, 10, {NEVER})))
    stop = whole[3]
    assert ids(list(decode(model, PROMPT, 10, {stop}))) == whole[: whole.index(stop) + 1]


def test_nothing_is_computed_before_it_is_asked_for(model: PreTrainedModel) -> None:
    passes: list[object] = []
    model.register_forward_pre_hook(lambda *_: passes.append(1))
    steps = decode(model, PROMPT, 10, {NEVER})
    assert not passes
    next(steps)
    assert len(passes) == 1
