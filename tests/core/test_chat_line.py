"""chat.core.chat: many people at once, of whom some wait, and some leave."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest

from chat.core.chat import Chat
from chat.core.engine import TICK, Queued
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.shares import Account, Limits, asking
from chat.core.tokens import FastTokens
from chat.errors import BadRequest, QueueFull, RateLimited
from prompts import Piece
from tests.support.fakes import CharTokens, LineFormat, ScriptedEngine, chat_with, last_message
from tests.support.replies import STOP, BatchEngine, ask, collect
from tests.support.tiny import chatml_tokenizer


async def test_it_is_told_that_others_come_first_where_the_model_is() -> None:
    chat = chat_with(BatchEngine(Queued(), "", f"a{STOP}"))
    updates = await collect(ask(chat))
    assert [update.queued for update in updates] == [False, True, False, False, False]


@pytest.mark.parametrize("seen", [1, 2, 3])
async def test_closing_the_reply_at_any_moment_ends_the_generation(seen: int) -> None:
    engine = BatchEngine(*"Hello")
    chat = chat_with(engine, max_waiting=0)
    updates = ask(chat)
    for _ in range(seen):
        await anext(updates)
    assert chat.gate.size == 1
    await updates.aclose()
    assert (engine.active, chat.gate.size) == (0, 0)


async def test_cancelling_the_task_ends_the_generation() -> None:
    engine = ScriptedEngine(lambda prompt: "no end " * 100)
    chat, written = chat_with(engine), asyncio.Event()

    async def consume() -> None:
        async with aclosing(ask(chat)) as updates:
            async for update in updates:
                if update.text:
                    written.set()

    task = asyncio.create_task(consume())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (engine.active, chat.gate.size) == (0, 0)


async def test_who_waits_sees_the_place_in_line_and_is_answered_in_turn() -> None:
    engine = BatchEngine("ok")
    chat = chat_with(engine)
    lines = [ask(chat, name) for name in "abc"]
    seen = [await anext(line) for line in lines]
    assert [(update.state, update.place) for update in seen] == [
        ("reading", 0),
        ("waiting", 1),
        ("waiting", 2),
    ]
    await lines[0].aclose()
    assert (await anext(lines[2])).place == 1
    assert (await anext(lines[1])).state == "reading"
    assert (await collect(lines[1]))[-1].text == "ok"
    assert (await collect(lines[2]))[-1].text == "ok"
    assert [last_message(prompt) for prompt in engine.prompts] == ["b", "c"]


async def test_who_gives_up_in_the_queue_never_reaches_the_engine() -> None:
    engine = BatchEngine("ok")
    chat = chat_with(engine)
    first, second = ask(chat, "a"), ask(chat, "b")
    await anext(first)
    assert (await anext(second)).state == "waiting"
    waiting = asyncio.create_task(anext(second))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert chat.gate.size == 1
    assert (await collect(first))[-1].text == "ok"
    assert [last_message(prompt) for prompt in engine.prompts] == ["a"]


async def test_who_waits_hears_something_after_each_tick() -> None:
    chat = chat_with(BatchEngine("ok"))
    first, second = ask(chat), ask(chat)
    await anext(first)
    for _ in range(2):
        assert (await asyncio.wait_for(anext(second), 20 * TICK)).state == "waiting"
    await second.aclose()
    await first.aclose()


async def test_a_full_queue_refuses_at_once_and_opens_again() -> None:
    chat = chat_with(BatchEngine("ok"), max_waiting=0)
    first = ask(chat)
    await anext(first)
    with pytest.raises(QueueFull):
        await anext(ask(chat))
    await first.aclose()
    assert (await collect(ask(chat)))[-1].text == "ok"


async def test_replies_asked_for_at_once_are_written_one_by_one_each_to_its_own_person() -> None:
    engine = ScriptedEngine(last_message)
    chat = chat_with(engine)
    everyone = await asyncio.gather(*(collect(ask(chat, name)) for name in ("ann", "bob", "eve")))
    assert [updates[-1].text for updates in everyone] == ["ann", "bob", "eve"]
    assert engine.most_active == 1
    for updates in everyone:
        texts = [update.text for update in updates]
        assert all(after.startswith(before) for before, after in pairwise(texts))


async def test_half_a_character_of_one_reply_does_not_come_into_the_next() -> None:
    tokens = FastTokens(chatml_tokenizer())
    engine = BatchEngine(tokens.encode(["𐍈"])[:-1])
    chat = Chat(engine, tokens, LineFormat(), Gate(1, 0))
    assert (await collect(ask(chat)))[-1].text == ""
    engine.batches = (tokens.encode(["B"]),)
    assert (await collect(ask(chat)))[-1].text == "B"


async def test_a_prompt_that_is_slow_to_compose_holds_nobody_up() -> None:
    others_went_on = threading.Event()

    class SlowTokens(CharTokens):
        def encode(self, pieces: Sequence[Piece]) -> list[int]:
            assert others_went_on.wait(timeout=20)
            return super().encode(pieces)

    chat = Chat(BatchEngine("ok"), SlowTokens(), LineFormat(), Gate(1, 0))
    reply = asyncio.create_task(collect(ask(chat)))
    await asyncio.sleep(0)
    others_went_on.set()
    assert (await reply)[-1].text == "ok"


async def test_who_leaves_while_it_is_composed_has_asked_and_keeps_its_thread() -> None:
    composing, may = threading.Semaphore(0), threading.Event()

    class SlowTokens(CharTokens):
        def encode(self, pieces: Sequence[Piece]) -> list[int]:
            composing.release()
            assert may.wait(timeout=20)
            return super().encode(pieces)

    chat = Chat(BatchEngine("ok"), SlowTokens(), LineFormat(), Gate(4, 9))
    visitor = (Account("ann", Limits(requests=10)),)
    token = asking.set(visitor)
    try:
        for _ in range(2):
            leaving = asyncio.create_task(collect(ask(chat)))
            assert await asyncio.to_thread(composing.acquire, timeout=20)
            leaving.cancel()
            await asyncio.wait([leaving])
        assert chat.gate.size == 0
        [requests] = [one.left for one in chat.shares.left(visitor) if one]
        assert requests == 8
        third = asyncio.create_task(collect(ask(chat)))
        assert not await asyncio.to_thread(composing.acquire, timeout=0.2)  # both go on
        may.set()
        assert (await third)[-1].text == "ok"
    finally:
        may.set()
        asking.reset(token)


async def test_who_finds_the_queue_full_costs_nothing() -> None:
    engine = ScriptedEngine(reading=60)
    chat = chat_with(engine, max_waiting=0)
    async with aclosing(ask(chat)) as updates:
        await anext(updates)
        # Even what is refused for its length is not looked at.
        with pytest.raises(QueueFull):
            await anext(ask(chat, "x" * 200_000))


async def test_who_leaves_while_a_grammar_is_tried_has_asked() -> None:
    begun = asyncio.Event()

    class Slow(ScriptedEngine):
        async def admit(self, sampling: Sampling) -> None:
            begun.set()
            await asyncio.Event().wait()

    chat = chat_with(Slow())
    asking.set((Account("someone", Limits(requests=1)),))
    leaving = asyncio.ensure_future(anext(ask(chat)))
    async with asyncio.timeout(10):
        await begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    with pytest.raises(RateLimited):
        await anext(ask(chat))


async def test_who_is_being_admitted_has_no_place_in_line_yet() -> None:
    begun, refuse = asyncio.Event(), asyncio.Event()

    class Strict(ScriptedEngine):
        async def admit(self, sampling: Sampling) -> None:
            begun.set()
            await refuse.wait()
            raise BadRequest("Regular expression takes too long to be kept to.", "regex")

    chat = chat_with(Strict(), max_waiting=0)
    refused = asyncio.ensure_future(anext(ask(chat)))
    async with asyncio.timeout(10):
        await begun.wait()
    assert chat.gate.size == 0
    refuse.set()
    with pytest.raises(BadRequest, match="takes too long"):
        await refused
    assert chat.gate.size == 0
