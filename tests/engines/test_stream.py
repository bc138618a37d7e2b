"""chat.engines.stream: from a worker thread to one consumer on the event loop."""

import asyncio
from contextlib import aclosing

import pytest

from chat.core.engine import TICK, Cached
from chat.engines.stream import StreamClosed, TokenStream
from chat.errors import EngineError
from tests.support.waiting import settle


async def collect(stream: TokenStream) -> list[list[int]]:
    return [ids async for ids in stream.batches()]


async def test_all_ids_of_a_fast_worker_arrive_in_order() -> None:
    stream = TokenStream()

    def work() -> None:
        for id in range(10_000):
            stream.put(id)
        stream.end()

    batches, _ = await asyncio.gather(collect(stream), asyncio.to_thread(work))
    assert [id for ids in batches for id in ids] == list(range(10_000))


async def test_what_is_ready_comes_in_one_batch() -> None:
    stream = TokenStream()
    for id in (1, 2, 3):
        stream.put(id)
    stream.end()
    assert await collect(stream) == [[1, 2, 3]]


async def test_a_reply_without_a_token_ends_without_a_batch() -> None:
    stream = TokenStream()
    stream.end()
    assert await collect(stream) == []


async def test_an_error_comes_after_what_was_written_before_it() -> None:
    stream = TokenStream()
    stream.put(1)
    stream.end(EngineError("out of order"))
    batches = stream.batches()
    assert await anext(batches) == [1]
    with pytest.raises(EngineError, match="out of order"):
        await anext(batches)


@pytest.mark.parametrize("error", [None, EngineError("out of order")])
async def test_the_end_wakes_a_waiting_consumer_at_once(error: Exception | None) -> None:
    stream = TokenStream()
    consumer = asyncio.create_task(collect(stream))
    await settle()
    await asyncio.to_thread(stream.end, error)
    await settle()
    assert consumer.done()
    assert consumer.exception() is error


async def test_a_waiting_consumer_hears_after_each_tick_that_there_is_nothing_yet() -> None:
    stream = TokenStream()
    async with aclosing(stream.batches()) as batches:
        assert await asyncio.wait_for(anext(batches), 20 * TICK) == []
        assert await asyncio.wait_for(anext(batches), 20 * TICK) == []
        stream.put(7)
        assert await anext(batches) == [7]


async def test_a_consumer_rests_while_there_is_nothing() -> None:
    stream = TokenStream()
    stream.put(7)
    async with aclosing(stream.batches()) as batches:
        assert await anext(batches) == [7]
        following = asyncio.create_task(anext(batches))
        await settle()
        assert not following.done()
        stream.put(8)
        assert await following == [8]


async def test_the_worker_is_stopped_at_its_next_token_once_the_consumer_has_left() -> None:
    stream = TokenStream()
    stream.put(1)
    async with aclosing(stream.batches()) as batches:
        assert await anext(batches) == [1]
        stream.check()
    for step in (stream.check, lambda: stream.put(2)):
        with pytest.raises(StreamClosed):
            await asyncio.to_thread(step)


async def test_a_cancelled_consumer_stops_the_worker_too() -> None:
    stream = TokenStream()
    consumer = asyncio.create_task(collect(stream))
    await asyncio.sleep(0)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    with pytest.raises(StreamClosed):
        stream.put(1)


def test_the_worker_is_stopped_when_the_event_loop_is_gone() -> None:
    async def start() -> TokenStream:
        return TokenStream()

    stream = asyncio.run(start())
    stream.put(1)  # nobody can hear it
    with pytest.raises(StreamClosed):
        stream.put(2)
    stream.end()


async def test_what_the_cache_holds_is_told_at_once_and_before_the_ids() -> None:
    stream = TokenStream()
    batches = stream.batches()
    waiting = asyncio.ensure_future(anext(batches))
    await settle()
    stream.cached(7)
    async with asyncio.timeout(TICK / 2):
        told = await waiting
    assert isinstance(told, Cached)
    assert (told, told.tokens) == ([], 7)
    stream.put(1)
    stream.end()
    assert [ids async for ids in batches] == [[1]]
