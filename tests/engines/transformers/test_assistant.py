"""An assistant's drafts: the replies are those without one, to the token, drawn ones too."""

from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.transformers.engine import TransformersEngine
from chat.engines.transformers.sampler import Sampler
from tests.engines.transformers.test_engine import until_idle
from tests.engines.transformers.test_engine_turns import PROMPT, Running, cold
from tests.support import tiny_models
from tests.support.batches import collect, greedy

Make = Callable[[], PreTrainedModel]


def alike(noise: float = 0.1, **changes: object) -> PreTrainedModel:
    """Return a model that often, and not always, writes as `tiny_models.llama` does."""
    model = tiny_models.llama(**changes)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight += torch.randn_like(weight) * noise * weight.std()
    return model


#: From those that are always right to those that never are, and with other caches.
ASSISTANTS: dict[str, Make] = {
    "the same": tiny_models.llama,
    "alike": alike,
    "another": lambda: alike(3.0),
    "another architecture": tiny_models.gpt2,
    "with a window": tiny_models.sliding,
    "padded to fewer tokens": lambda: alike(vocab_size=120),
    "padded to more tokens": lambda: alike(vocab_size=160),
    "a short window": lambda: alike(max_position_embeddings=64),
}

every = pytest.mark.parametrize("make", ASSISTANTS.values(), ids=ASSISTANTS)


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    run = Running(tiny_models.llama, **options)
    try:
        yield run
    finally:
        run.engine.close()


async def written(engine: TransformersEngine, prompt: list[int], **changes: Any) -> list[int]:
    values = {"temperature": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 20, **changes}
    return await collect(engine.generate(prompt, Sampling(**values)))


SAMPLINGS: list[dict[str, Any]] = [
    {},
    {"max_new_tokens": 1},
    {"max_new_tokens": 2, "repetition_penalty": 1.2},
    {"min_new_tokens": 12, "presence_penalty": 0.5, "frequency_penalty": 0.5},
    {"temperature": 1.2, "seed": 1, "top_k": 0, "top_p": 1.0},
    {"temperature": 0.8, "seed": 2, "min_p": 0.1, "repetition_penalty": 1.1},
    {"temperature": 1.5, "seed": 3, "top_k": 5, "max_new_tokens": 40},
    {"temperature": 1.0, "seed": 4, "logprobs": True},
]


@every
async def test_replies_are_those_without_an_assistant_on_cold_and_warm_caches(make: Make) -> None:
    with running() as plain, running(assistant=make()) as run:
        prompt = PROMPT
        for turn in range(4):
            for sampling in SAMPLINGS:
                expected = await written(plain.engine, prompt, **sampling)
                assert await written(run.engine, prompt, **sampling) == expected, sampling
            prompt = [*prompt, *expected, 50 + turn]
        assert len(prompt) > 64, "the short window is left"


@pytest.mark.parametrize("name", ["lfm2", "mamba"])
async def test_a_model_that_cannot_take_tokens_back_writes_without_one(name: str) -> None:
    def make() -> PreTrainedModel:
        return tiny_models.family(name, 128)

    plain, beside = Running(make), Running(make, assistant=tiny_models.llama())
    try:
        for prompt in (PROMPT, [*PROMPT, 5]):
            assert await written(beside.engine, prompt) == await written(plain.engine, prompt)
    finally:
        plain.engine.close()
        beside.engine.close()


@every
async def test_prompt_lookup_beside_it_changes_nothing(make: Make) -> None:
    with running(assistant=make(), prompt_lookup=4) as run:
        assert await written(run.engine, [1, 2, 3, 4] * 6) == cold(
            tiny_models.llama, [1, 2, 3, 4] * 6, 20
        )


async def test_drawn_replies_are_the_same_with_prompt_lookup_too() -> None:
    prompt = [1, 2, 3, 4] * 6
    with running() as plain, running(prompt_lookup=4) as run:
        for seed in range(12):
            sampling = {"temperature": 0.3, "seed": seed}
            expected = await written(plain.engine, prompt, **sampling)
            assert await written(run.engine, prompt, **sampling) == expected


async def test_a_good_assistant_saves_most_passes_and_reads_no_turn_again() -> None:
    assistant = tiny_models.llama()
    read: list[int] = []
    with running(assistant=assistant) as run:
        assistant.register_forward_pre_hook(
            lambda _, __, inputs: read.append(inputs["input_ids"].shape[1]), with_kwargs=True
        )
        prompt = PROMPT
        for turn in range(3):
            run.read.clear()
            read.clear()
            reply = await written(run.engine, prompt)
            assert len(run.read) <= 4, "for 20 tokens"
            # What it drafted last may have been the last of a reply, which it has not read.
            assert read[0] <= (len(PROMPT) if turn == 0 else 4)
            prompt = [*prompt, *reply, 50 + turn]


async def test_memory_that_its_caches_hold_is_made_room_of_too() -> None:
    assistant = tiny_models.llama()
    read: list[int] = []

    def fail(*_: Any) -> None:
        failing.remove()
        raise torch.OutOfMemoryError("out of memory")

    with running(assistant=assistant) as run:
        expected = await written(run.engine, PROMPT)
        failing = assistant.lm_head.register_forward_pre_hook(fail)
        assistant.register_forward_pre_hook(
            lambda _, __, inputs: read.append(inputs["input_ids"].shape[1]), with_kwargs=True
        )
        assert await written(run.engine, PROMPT) == expected
        assert read[0] < len(PROMPT) == read[1], "with what it had kept, and then without"


async def test_a_stop_in_mid_reply_leaves_caches_that_are_right() -> None:
    with running(assistant=alike()) as run:
        prompt = PROMPT
        for turn in range(8):
            seen: list[int] = []
            async with aclosing(run.engine.generate(prompt, greedy(100))) as batches:
                while len(seen) < 1 + turn:
                    seen += await anext(batches)
            await until_idle(run.engine)
            assert seen == cold(tiny_models.llama, prompt, len(seen))
            prompt = [*prompt, *seen, 3, 4]


async def test_a_reply_ends_where_it_would_within_a_draft() -> None:
    whole = cold(tiny_models.llama, PROMPT, 20)
    stop = whole[7]
    engine = TransformersEngine(tiny_models.llama(), {stop}, 512, assistant=tiny_models.llama())
    reply = await collect(engine.generate(PROMPT, greedy(20)))
    engine.close()
    assert reply == whole[: whole.index(stop) + 1]


def test_a_place_has_one_number_whoever_asks_and_as_often() -> None:
    sampling = Sampling(temperature=1.0, seed=7, repetition_penalty=1.0)
    device = torch.device("cpu")
    once, again = Sampler(sampling, device), Sampler(sampling, device, drafted=True)
    torch.manual_seed(0)
    for length in range(3, 12):
        ids, scores = torch.ones(1, length, dtype=torch.long), torch.randn(1, 50)
        expected = once(ids, scores.clone()).argmax()
        for _ in range(2):
            assert again(ids, scores.clone()).argmax() == expected
            again(torch.zeros(1, length + 2, dtype=torch.long), torch.randn(1, 50))  # in vain
