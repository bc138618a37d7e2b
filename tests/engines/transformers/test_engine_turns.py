"""Turns of a conversation on a warm KV cache: the same tokens as without one, and less to read.

All in float32 and greedy, token by token against a plain `model.generate`.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from chat.core.engine import Scored
from chat.core.sampling import Sampling
from chat.engines.transformers.engine import TransformersEngine
from chat.errors import EngineError, OutOfMemory
from tests.engines.transformers.test_engine import (
    NEVER,
    Brake,
    collect,
    greedy,
    reached,
    until_idle,
)
from tests.support import tiny_models

Make = Callable[[], PreTrainedModel]

PROMPT = [(7 * place) % 101 for place in range(30)]
LENGTH = 12

remembering = pytest.mark.parametrize(
    "make", [tiny_models.llama, tiny_models.gpt2, tiny_models.sliding]
)


class Running:
    """An engine, and how many tokens its model has read in each forward pass."""

    def __init__(self, make: Make, **options: Any) -> None:
        self.model = make()
        self.engine = TransformersEngine(self.model, {NEVER}, window=512, **options)
        self.read: list[int] = []
        self.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: Any, __: Any, inputs: dict[str, Any]) -> None:
        self.read.append(inputs["input_ids"].shape[1])

    async def reply(self, prompt: list[int]) -> list[int]:
        self.read.clear()
        return await collect(self.engine.generate(prompt, greedy(LENGTH)))

    @property
    def read_of_prompt(self) -> int:
        """Tokens that were read before the first one was written."""
        return self.read[0]


@contextmanager
def running(make: Make, **options: Any) -> Iterator[Running]:
    run = Running(make, **options)
    try:
        yield run
    finally:
        run.engine.close()


def cold(make: Make, prompt: list[int], tokens: int = LENGTH) -> list[int]:
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    ids = torch.tensor([prompt])
    whole = make().generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return whole[0, len(prompt) :].tolist()


@remembering
async def test_growing_turns_read_only_what_is_new(make: Make) -> None:
    with running(make) as run:
        prompt = PROMPT
        for turn in range(10):
            reply = await run.reply(prompt)
            assert reply == cold(make, prompt)
            # The last token of a reply has not been read when the reply ends.
            assert run.read_of_prompt == (len(PROMPT) if turn == 0 else 4 + 1)
            prompt = [*prompt, *reply, 11, 12, 13, 14 + turn]


@remembering
async def test_a_retry_reads_one_token(make: Make) -> None:
    with running(make) as run:
        for _ in range(3):
            assert await run.reply(PROMPT) == cold(make, PROMPT)
        assert run.read_of_prompt == 1


@remembering
async def test_a_retry_of_a_much_shorter_prompt_reads_one_token_too(make: Make) -> None:
    with running(make) as run:
        await run.reply(PROMPT)
        assert await run.reply(PROMPT[:20]) == cold(make, PROMPT[:20])
        assert run.read_of_prompt == 1


@remembering
async def test_an_edit_reads_from_where_it_differs(make: Make) -> None:
    with running(make) as run:
        await run.reply(PROMPT)
        edited = [*PROMPT[:25], 90, 91, 92]
        assert await run.reply(edited) == cold(make, edited)
        assert run.read_of_prompt == 3


@remembering
async def test_undone_turns_are_gone(make: Make) -> None:
    with running(make) as run:
        second = [*PROMPT, *await run.reply(PROMPT), 50, 51]
        third = [*second, *await run.reply(second), 52, 53]
        await run.reply(third)
        other = [*second[:-2], 60, 61, 62]
        assert await run.reply(other) == cold(make, other)
        assert run.read_of_prompt == 3


@remembering
@pytest.mark.parametrize("tokens", [1, 2, 7])
async def test_a_reply_that_was_stopped_is_read_on_from_there(make: Make, tokens: int) -> None:
    with running(make) as run:
        brake = Brake(run.model)
        async with aclosing(run.engine.generate(PROMPT, greedy(100))) as batches:
            seen: list[int] = []
            while len(seen) < tokens:
                brake.release()
                seen += await anext(batches)
        brake.off()
        await until_idle(run.engine)
        prompt = [*PROMPT, *seen, 70, 71]
        assert await run.reply(prompt) == cold(make, prompt)
        assert run.read_of_prompt <= 3


@remembering
@pytest.mark.parametrize("turns", [0, 1])
async def test_a_stop_between_two_layers_leaves_what_both_have_read(make: Make, turns: int) -> None:
    with running(make) as run:
        known = [*PROMPT[:10], *await run.reply(PROMPT[:10])][:-1] if turns else []
        prompt = [*known, *PROMPT[10:]]
        brake = Brake(_layers(run.model)[0])
        waiting = asyncio.ensure_future(collect(run.engine.generate(prompt, greedy(9))))
        await reached(brake)
        waiting.cancel()
        await asyncio.wait([waiting])
        brake.off()
        await until_idle(run.engine)
        assert await run.reply(prompt) == cold(make, prompt)
        assert run.read_of_prompt == len(prompt) - len(known)


@remembering
async def test_a_stop_between_two_layers_in_mid_reply(make: Make) -> None:
    with running(make) as run:
        brake = Brake(_layers(run.model)[0])
        batches = run.engine.generate(PROMPT, greedy(100))
        seen: list[int] = []
        while len(seen) < 3:
            brake.release()
            seen += await anext(batches)
        async with asyncio.timeout(20):
            while brake.passes < 4:
                await asyncio.sleep(0.001)
        await batches.aclose()
        brake.off()
        await until_idle(run.engine)
        prompt = [*PROMPT, *seen, 70]
        assert await run.reply(prompt) == cold(make, prompt)
        assert run.read_of_prompt <= 2


@remembering
async def test_what_one_person_wrote_never_shows_with_another(make: Make) -> None:
    with running(make) as run:
        system, people = PROMPT[:10], [[40, 41, 42] * 8, [80, 81] * 12, [40, 41, 43] * 8]
        prompts = [[*system, *said] for said in people]
        for prompt in [*prompts, *reversed(prompts)]:
            assert await run.reply(prompt) == cold(make, prompt)


@remembering
async def test_a_shared_system_prompt_does_not_cost_a_long_conversation_its_cache(
    make: Make,
) -> None:
    with running(make) as run:
        mine = [*PROMPT, *await run.reply(PROMPT), 50, 51]
        theirs = [*PROMPT[:10], 99, 98, 97]
        assert await run.reply(theirs) == cold(make, theirs)
        assert run.read_of_prompt == 3
        assert await run.reply(mine) == cold(make, mine)
        assert run.read_of_prompt == 2 + 1


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2])
async def test_prompt_lookup_writes_the_same_in_fewer_passes(make: Make) -> None:
    with running(make, prompt_lookup=5) as run:
        prompt, passes, unread = [1, 2, 3, 4] * 6, 0, 24
        for turn in range(6):
            reply = await run.reply(prompt)
            assert reply == cold(make, prompt)
            assert run.read_of_prompt <= unread + 5
            passes += len(run.read)
            prompt = [*prompt, *reply, 3, 4, turn]
            unread = 1 + 3
        assert passes < 6 * LENGTH


@remembering
async def test_prompt_lookup_goes_on_after_a_stop_in_mid_reply(make: Make) -> None:
    with running(make, prompt_lookup=5) as run:
        prompt = [1, 2, 3, 4] * 6
        for turn in range(8):
            seen: list[int] = []
            async with aclosing(run.engine.generate(prompt, greedy(100))) as batches:
                while len(seen) < 1 + turn:
                    seen += await anext(batches)
            await until_idle(run.engine)
            assert seen == cold(make, prompt, len(seen))
            # Of what came by then, which may be more on another day.
            prompt = [*prompt, *seen[: 1 + turn], 3, 4]
        assert await run.reply(prompt) == cold(make, prompt)


@remembering
async def test_what_each_token_was_worth_is_the_same_with_prompt_lookup(make: Make) -> None:
    sampling = greedy(30).model_copy(update={"logprobs": True, "top_logprobs": 3})
    found = []
    for options in ({}, {"prompt_lookup": 5}):
        with running(make, **options) as run:
            batches = run.engine.generate([1, 2, 3, 4] * 6, sampling)
            ids = [id async for batch in batches for id in batch]
            assert all(isinstance(id, Scored) and id.top[0][1] == id.logprob for id in ids)
            found.append(ids)
    assert found[0] == found[1] == cold(make, [1, 2, 3, 4] * 6, 30)


async def test_without_memory_for_it_nothing_is_kept() -> None:
    with running(tiny_models.llama, prefix_cache_bytes=0) as run:
        for _ in range(2):
            assert await run.reply(PROMPT) == cold(tiny_models.llama, PROMPT)
            assert run.read_of_prompt == len(PROMPT)


@pytest.mark.parametrize("error", [ValueError(), torch.OutOfMemoryError("out of memory")])
async def test_after_an_error_in_mid_reply_the_cache_is_dropped(error: Exception) -> None:
    with running(tiny_models.llama) as run:
        prompt = [*PROMPT, *await run.reply(PROMPT), 50]

        def fail(*_: Any) -> None:
            if len(run.read) == 3:
                raise error

        failing = run.model.lm_head.register_forward_pre_hook(fail)
        with pytest.raises(EngineError):
            await run.reply(prompt)
        failing.remove()
        assert await run.reply(prompt) == cold(tiny_models.llama, prompt)
        assert run.read_of_prompt == len(prompt)


async def test_without_memory_the_caches_of_others_go_too() -> None:
    with running(tiny_models.llama) as run:
        await run.reply(PROMPT)

        def fail(*_: Any) -> None:
            raise torch.OutOfMemoryError("out of memory")

        failing = run.model.lm_head.register_forward_pre_hook(fail)
        with pytest.raises(OutOfMemory):
            await run.reply([99, 98])
        failing.remove()
        await run.reply(PROMPT)
        assert run.read_of_prompt == len(PROMPT)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
async def test_memory_that_the_caches_of_others_hold_is_made_room_of_before_a_reply_fails(
    temperature: float,
) -> None:
    sampling = greedy(LENGTH).model_copy(update={"temperature": temperature, "seed": 5})
    with running(tiny_models.llama) as run:
        prompt = [99, 98, 97]
        expected = await collect(run.engine.generate(prompt, sampling))
        await run.reply(PROMPT)

        def fail(*_: Any) -> None:
            failing.remove()
            raise torch.AcceleratorError("CUDA error: out of memory")

        failing = run.model.lm_head.register_forward_pre_hook(fail)
        run.read.clear()
        assert await collect(run.engine.generate([*prompt], sampling)) == expected
        assert run.read[:2] == [1, len(prompt)], "first with the cache, then without any"
        await run.reply(PROMPT)
        assert run.read_of_prompt == len(PROMPT)


@pytest.mark.parametrize("make", [tiny_models.growing_rope])
async def test_models_that_cannot_resume_read_all_and_write_the_same(make: Make) -> None:
    with running(make) as run:
        prompt = PROMPT
        for turn in range(3):
            reply = await run.reply(prompt)
            assert reply == cold(make, prompt)
            assert run.read_of_prompt == len(prompt)
            prompt = [*prompt, *reply, 11, 12 + turn]


@remembering
async def test_a_seed_gives_the_same_reply_again_whatever_is_drawn_elsewhere(make: Make) -> None:
    sampling = Sampling(seed=7, max_new_tokens=LENGTH, temperature=1.5)
    with running(make) as run:
        replies = []
        for elsewhere in range(2):
            torch.manual_seed(elsewhere)
            replies.append(await collect(run.engine.generate(PROMPT, sampling)))
        other = sampling.model_copy(update={"seed": 8})
        assert replies[0] == replies[1] != await collect(run.engine.generate(PROMPT, other))


def _layers(model: PreTrainedModel) -> Any:
    return model.model.layers if hasattr(model, "model") else model.transformer.h
