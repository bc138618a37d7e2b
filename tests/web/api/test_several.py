"""Several replies to one request: `n` of them, and prompts as a list, of texts or of token ids."""

import asyncio
from itertools import count
from typing import Any

import pytest

from chat.core.shares import Account, Limits, asking
from prompts.formats.plain import Plain
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error, events


def counting() -> ScriptedEngine:
    """Return an engine whose every reply has a number of its own."""
    numbers = count(1)
    return ScriptedEngine(lambda prompt: f"reply {next(numbers)}")


async def texts(programs: Programs, **fields: Any) -> list[str]:
    """Return the texts of a completion, the same streamed or not."""
    whole = (await programs.completes(**fields)).json()
    assert [one["index"] for one in whole["choices"]] == list(range(len(whole["choices"])))
    found = [one["text"] for one in whole["choices"]]
    streamed = [""] * len(found)
    *chunks, done = events(await programs.completes(stream=True, **fields))
    assert done == "[DONE]"
    ended = []
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert choice["index"] not in ended
            streamed[choice["index"]] += choice["text"]
            if choice["finish_reason"]:
                ended.append(choice["index"])
    assert sorted(ended) == list(range(len(found)))
    assert streamed == found
    return found


async def test_n_replies_come_with_a_place_for_each() -> None:
    whole = (await Programs(counting()).chats(n=3)).json()
    assert [one["index"] for one in whole["choices"]] == [0, 1, 2]
    said = [one["message"]["content"] for one in whole["choices"]]
    assert sorted(said) == ["reply 1", "reply 2", "reply 3"]
    assert {one["finish_reason"] for one in whole["choices"]} == {"stop"}


async def test_n_replies_are_streamed_beside_each_other() -> None:
    engine = counting()
    engine.parallel, engine.pace = 3, 0.01
    answer = await Programs(engine).chats(n=3, stream=True, stream_options={"include_usage": True})
    *chunks, done = events(answer)
    assert done == "[DONE]"
    said, ended = [""] * 3, []
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert choice["index"] not in ended
            said[choice["index"]] += choice["delta"].get("content", "")
            if choice["finish_reason"]:
                ended.append(choice["index"])
    assert sorted(said) == ["reply 1", "reply 2", "reply 3"]
    assert sorted(ended) == [0, 1, 2]
    assert engine.most_active == 3
    assert chunks[-1]["choices"] == []
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_a_prompt_that_is_asked_n_times_is_counted_once() -> None:
    programs = Programs(counting())
    one, three = [(await programs.chats(n=n)).json()["usage"] for n in (1, 3)]
    assert three["prompt_tokens"] == one["prompt_tokens"]
    assert three["completion_tokens"] == 3 * one["completion_tokens"]
    assert three["total_tokens"] == three["prompt_tokens"] + three["completion_tokens"]


async def test_with_a_seed_each_reply_has_one_of_its_own_and_the_first_is_that_of_n_1() -> None:
    engine = counting()
    await Programs(engine).chats(n=3, seed=2**32 - 2)
    seeds = sorted(sampling.seed or 0 for sampling in engine.samplings)
    assert seeds == [0, 2**32 - 2, 2**32 - 1]
    await Programs(engine).chats(n=2)
    assert [sampling.seed for sampling in engine.samplings[3:]] == [None, None]


async def test_prompts_in_a_list_are_each_continued_in_their_order() -> None:
    engine = ScriptedEngine(lambda prompt: f" after {prompt}")
    programs = Programs(engine, format=Plain())
    assert await texts(programs, prompt=["A", "B"]) == [" after A", " after B"]
    assert await texts(programs, prompt=["A", "B"], echo=True) == ["A after A", "B after B"]
    assert await texts(programs, prompt=["A", "B"], n=2) == [" after A"] * 2 + [" after B"] * 2


async def test_prompts_may_be_token_ids() -> None:
    engine = ScriptedEngine(lambda prompt: f" after {prompt}")
    programs = Programs(engine, format=Plain())
    ids = list(map(ord, "Hi"))
    assert await texts(programs, prompt=ids) == [" after Hi"]
    assert await texts(programs, prompt=[ids]) == [" after Hi"]
    assert await texts(programs, prompt=ids, echo=True) == ["Hi after Hi"]
    assert await texts(programs, prompt=["A", ids]) == [" after A", " after Hi"]
    # Control tokens among them are those of who sends them.
    await programs.completes(prompt=[0, *ids])
    assert engine.prompts[-1] == "\0Hi"


async def test_ids_that_do_not_fit_are_refused() -> None:
    programs = Programs(ScriptedEngine(), format=Plain())
    refused = error(await programs.completes(prompt=[65] * 3000), 400)
    assert refused["code"] == "context_length_exceeded"
    assert refused["param"] == "prompt"
    assert programs.engine.prompts == []


async def test_the_error_of_one_reply_ends_all() -> None:
    def script(prompt: str) -> str:
        if prompt == "B":
            raise ValueError("broken")
        return "a" * 500

    engine = ScriptedEngine(script, pace=0.1)
    engine.parallel = 2
    programs = Programs(engine, format=Plain())
    assert error(await programs.completes(prompt=["A", "B"]), 500)
    async with asyncio.timeout(30):
        while engine.active:
            await asyncio.sleep(0)
    assert engine.given < 500


async def test_where_the_line_has_no_room_for_all_none_is_answered() -> None:
    programs = Programs(ScriptedEngine(pace=0.005), max_waiting=1)
    for stream in (False, True):
        refused = error(await programs.chats(n=4, stream=stream), 429)
        assert refused["code"] == "rate_limit_exceeded"
    assert (await programs.chats(n=2)).status_code == 200


async def test_each_prompt_counts_whether_or_not_another_is_the_same() -> None:
    programs = Programs(counting())
    one, two, four = [
        (await programs.completes(prompt=prompt, n=n)).json()["usage"]["prompt_tokens"]
        for prompt, n in (("a", 1), (["a", "a"], 1), (["a", "a"], 2))
    ]
    assert two == four == 2 * one


async def test_one_asks_for_no_more_than_one_may_ever_have() -> None:
    programs = Programs(counting())
    token = asking.set((Account("ann", Limits(places=2)),))
    try:
        assert (await programs.chats(n=2)).status_code == 200
        told = error(await programs.chats(n=3), 400)
    finally:
        asking.reset(token)
    assert told["message"] == "n and prompt ask for 3 replies; the limit is 2."


@pytest.mark.parametrize("prompt", [["a"] * 17, [[1]] * 17])
async def test_a_list_of_too_many_prompts_is_refused_by_its_name(prompt: Any) -> None:
    told = error(await Programs(counting()).completes(prompt=prompt), 400)
    assert (told["param"], told["message"]) == ("prompt", "prompt must be 16 prompts at most.")


async def test_ids_beyond_the_window_are_refused_before_they_are_looked_at() -> None:
    programs = Programs(counting())
    window = programs.engine.window
    told = error(await programs.completes(prompt=[2**40] * (window + 1), n=16), 400)
    assert told["param"] == "prompt"
    assert told["message"].endswith(f"prompt has {window + 1:,} tokens; the limit is {window:,}.")


@pytest.mark.parametrize("n", [1, 1.0, None])
async def test_one_is_one(n: Any) -> None:
    whole = (await Programs(counting()).chats(n=n, messages=HI)).json()
    assert len(whole["choices"]) == 1


async def test_what_the_cache_held_of_it_too_where_the_engine_says_so() -> None:
    engine = counting()
    engine.cached = 3
    programs = Programs(engine)
    for cached in (0, 3):
        usage = (await programs.chats(n=3)).json()["usage"]
        assert usage["prompt_tokens_details"] == {"cached_tokens": cached}
