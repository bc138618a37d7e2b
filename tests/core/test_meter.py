"""chat.core.meter: what is counted of replies."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import SimpleNamespace

import pytest

from chat.core.chat import Chat
from chat.core.conversation import rebuild
from chat.core.engine import Resumed
from chat.core.meter import SHORT, Histogram, Meter
from chat.core.sampling import Sampling
from chat.core.shares import Account, Limits, asking
from chat.errors import BadRequest, EngineError, QueueFull
from tests.support.fakes import END, ScriptedEngine, chat_with


async def answer(chat: Chat, message: str = "Hi", **controls: object) -> str:
    conversation = rebuild([], message, "")
    text = ""
    async with aclosing(chat.reply(conversation, Sampling(**controls))) as updates:
        async for update in updates:
            text = update.text
    return text


def test_a_value_is_counted_up_to_the_bound_that_it_reaches() -> None:
    histogram = Histogram((0.1, 1.0))
    for value, times in ((0.1, 1), (0.2, 3), (1.0, 1), (5.0, 2)):
        histogram.add(value, times)
    assert histogram.counts == [1, 4, 2]
    assert histogram.sum == pytest.approx(0.1 + 3 * 0.2 + 1 + 2 * 5)


async def test_a_reply_is_counted_with_its_tokens_and_by_how_it_ends() -> None:
    engine = ScriptedEngine(lambda prompt: "Hello")
    chat = chat_with(engine)
    await answer(chat)
    await answer(chat, max_new_tokens=2)
    await answer(chat, stop="ll")
    meter = chat.meter
    assert meter.ended == {"stop": 2, "length": 1}
    assert meter.prompt_tokens == sum(map(len, engine.prompts))
    assert meter.tokens == len("Hello|") + 2 + len("Hello|")
    for histogram in (meter.waited, meter.first, meter.whole):
        assert sum(histogram.counts) == 3
    assert sum(meter.between.counts) < meter.tokens


async def test_times_between_tokens_weigh_as_many_as_came_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("chat.core.meter.time", SimpleNamespace(monotonic=lambda: clock[0]))
    meter = Meter()
    with meter.reply() as measured:
        clock[0] += 2
        measured.begin(7, 1)
        for seconds, tokens in ((3, 1), (1, 0), (1, 8), (0.5, 1)):
            clock[0] += seconds
            measured.wrote(tokens)
        measured.ending = "stop"
    assert (meter.waited.sum, meter.first.sum, meter.whole.sum) == (2, 5, 7.5)
    assert meter.between.sum == pytest.approx(2 + 0.5)
    assert meter.between.counts[SHORT.index(0.25)] == 8
    assert meter.between.counts[SHORT.index(0.5)] == 1
    assert (meter.tokens, meter.prompt_tokens, meter.dropped_turns) == (10, 7, 1)


async def test_who_leaves_is_counted_and_is_no_fault() -> None:
    chat = chat_with(ScriptedEngine(lambda prompt: "Hello", pace=0.01))
    async with aclosing(chat.reply(rebuild([], "Hi", ""), Sampling())) as updates:
        async for update in updates:
            if update.text:
                break
    assert chat.meter.ended == {"abort": 1}
    task = asyncio.create_task(answer(chat))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert chat.meter.ended == {"abort": 2}
    assert sum(chat.meter.whole.counts) == 0


async def test_faults_and_refusals_are_counted_by_their_kind() -> None:
    def fail(prompt: str) -> str:
        raise EngineError("It failed.")

    chat = chat_with(ScriptedEngine(fail), max_waiting=0)
    with pytest.raises(EngineError):
        await answer(chat)
    with pytest.raises(BadRequest):
        await answer(chat, regex="a")
    with chat.gate.enter(), pytest.raises(QueueFull):
        await answer(chat)
    assert chat.meter.ended == {"error": 1}
    assert chat.meter.refused == {"BadRequest": 1, "QueueFull": 1}


async def test_what_is_refused_where_the_model_is_has_cost_nothing() -> None:
    """By a server elsewhere, which has a line of its own."""

    def refuse(prompt: str) -> str:
        raise QueueFull("The queue is full.")

    chat = chat_with(ScriptedEngine(refuse))
    visitor = (Account("ann", Limits(tokens=1000)),)
    token = asking.set(visitor)
    try:
        with pytest.raises(QueueFull):
            await answer(chat)
    finally:
        asking.reset(token)
    assert [one.left for one in chat.shares.left(visitor) if one] == [1000]


class Resuming(ScriptedEngine):
    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        yield [ord("a")]
        yield Resumed()
        yield [ord("b"), END]


async def test_a_reply_that_another_goes_on_with_is_counted_and_whole() -> None:
    chat = chat_with(Resuming())
    assert await answer(chat) == "ab"
    assert chat.meter.resumed == 1
    assert chat.meter.ended == {"stop": 1}
