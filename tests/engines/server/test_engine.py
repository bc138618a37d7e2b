"""An engine that is somewhere else: what breaks there, and what becomes of replies."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from chat.core.engine import Queued
from chat.core.sampling import Sampling
from chat.engines.resume import MOST
from chat.engines.server import connection, engine
from chat.engines.server.refusals import ENDED
from chat.engines.server.vllm import Ours
from chat.errors import FAILED, BadRequest, EngineError, QueueFull, TooLong
from tests.engines.server.conftest import STOP, Rig, always, engine_at, reply
from tests.support.batches import collect, first, greedy
from tests.support.examples import some
from tests.support.model_server import event, silent
from tests.support.ports import free_port

PROMPT = [3, 4, 5]
SECRET = "what somebody wrote"
Events = AsyncGenerator[bytes]


def cut(after: int) -> Callable[[Events], Events]:
    """End the connection after so many events."""

    async def some(events: Events) -> Events:
        left = after
        async for one in events:
            if not left:
                raise ConnectionError
            left -= 1
            yield one
        raise ConnectionError

    return some


def ending(after: int, *more: bytes) -> Callable[[Events], Events]:
    """End the answer as if that were all, after so many events and `more`."""

    async def some(events: Events) -> Events:
        left = after
        async for one in events:
            if not left:
                break
            left -= 1
            yield one
        for one in more:
            yield one

    return some


def refusing(status: int, wait: str = "", **error: Any) -> Callable[[Events], Response]:
    headers = {"retry-after": wait} if wait else {}
    body = {"error": {"message": SECRET, "type": "some", "param": None, "code": None, **error}}
    return lambda events: JSONResponse(body, status, headers=headers)


def failing(code: int | None) -> bytes:
    inner = f'"code": {code}' if code else '"type": "none"'
    return f'data: {{"error": {{"message": "{SECRET}", {inner}}}}}\n\n'.encode()


@given(st.integers(1, 12), st.lists(st.integers(0, 12), max_size=MOST))
@settings(max_examples=some(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_broken_after_any_token_a_greedy_reply_is_the_same(
    rig: Rig, tokens: int, breaks: list[int]
) -> None:
    rig.server.next = [cut(after) for after in breaks]
    found = asyncio.run(collect(rig.engine.generate(PROMPT, greedy(tokens))))
    rig.server.next = []
    assert found == reply(PROMPT, tokens)


@pytest.mark.parametrize(
    "broken",
    [
        cut(3),
        ending(3),
        ending(3, b"data: [DONE]\n\n"),
        ending(3, failing(500)),
        ending(3, failing(None)),
        ending(3, failing(502), b"data: [DONE]\n\n"),
        ending(3, b"data: {no json}\n\n"),
        ending(3, b"data: []\n\n"),
        ending(3, b'data: {"choices": [{"token_ids": ["a"]}]}\n\n'),
        ending(3, b'data: {"choices": [{"token_ids": [], "finish_reason": "abort"}]}\n\n'),
        refusing(500),
        refusing(502),
        refusing(503, "0"),
        refusing(408),
    ],
)
async def test_what_breaks_off_in_any_way_goes_on(rig_of: Callable[[], Rig], broken: Any) -> None:
    rig = rig_of()
    rig.server.next = [broken]
    assert await collect(rig.engine.generate(PROMPT, greedy(9))) == reply(PROMPT, 9)
    assert len(rig.server.asked) == 2
    given = rig.server.asked[1]["prompt"][len(PROMPT) :]
    assert given == reply(PROMPT, 9)[: len(given)]
    assert rig.server.asked[1]["max_tokens"] == 9 - len(given)


async def test_a_server_that_breaks_each_reply_fails_in_the_end(
    rig_of: Callable[[], Rig], caplog: pytest.LogCaptureFixture
) -> None:
    rig = rig_of()
    rig.server.next = [ending(0, failing(500))] * 20
    with pytest.raises(EngineError, match="Please try again"):
        await collect(rig.engine.generate(PROMPT, greedy(9)))
    assert len(rig.server.asked) == MOST + 1
    assert SECRET not in caplog.text
    rig.server.next = []
    assert await collect(rig.engine.generate(PROMPT, greedy(9))) == reply(PROMPT, 9)


@pytest.mark.parametrize("tied", [{"choices": ("a",)}, {"regex": "a"}, {"json_schema": "{}"}])
async def test_what_has_to_fit_goes_on_before_its_first_token_alone(
    rig_of: Callable[[], Rig], tied: dict[str, Any]
) -> None:
    rig = rig_of()
    rig.server.next = [cut(0), ending(0)]
    found = await collect(rig.engine.generate(PROMPT, greedy(5, **tied)))
    assert found == reply(PROMPT, 5)
    rig.server.next = [cut(1)]
    with pytest.raises(EngineError, match="Please try again"):
        await collect(rig.engine.generate(PROMPT, greedy(5, **tied)))


async def test_a_drawn_reply_goes_on_with_the_seed_that_follows(rig_of: Callable[[], Rig]) -> None:
    rig = rig_of()
    rig.server.next = [cut(4)]
    await collect(rig.engine.generate(PROMPT, Sampling(seed=2**32 - 2, max_new_tokens=9)))
    given = len(rig.server.asked[1]["prompt"]) - len(PROMPT)
    assert given > 0
    assert [asked["seed"] for asked in rig.server.asked] == [2**32 - 2, (given - 2) % 2**32]


async def test_a_reply_ends_where_it_should_whatever_the_server_gives(
    rig_of: Callable[[], Rig],
) -> None:
    rig = rig_of()
    rig.server.next = [ending(0, event([7, 8, 9, 10, 11]))]
    assert await collect(rig.engine.generate(PROMPT, greedy(3))) == [7, 8, 9]
    rig.server.next = [ending(0, event([7, STOP, 9]))]
    assert await collect(rig.engine.generate(PROMPT, greedy(8))) == [7, STOP]
    rig.server.next = [ending(0, event([7, 8], "stop"))]
    assert await collect(rig.engine.generate(PROMPT, greedy(8))) == [7, 8], "by an end of its own"


async def test_who_comes_while_a_server_is_full_waits_as_long_as_it_says(
    rig_of: Callable[[], Rig],
) -> None:
    rig = rig_of()
    rig.server.next = [refusing(429, "1"), refusing(429)]
    begin = time.monotonic()
    batches = [ids async for ids in rig.engine.generate(PROMPT, greedy(4))]
    assert [id for ids in batches for id in ids] == reply(PROMPT, 4)
    assert any(isinstance(ids, Queued) for ids in batches), "it says that others come first"
    assert time.monotonic() - begin >= 1
    assert len(rig.server.asked) == 3


async def test_a_line_that_does_not_move_is_full(
    rig_of: Callable[[], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rig_of()
    rig.server.next = [refusing(429, "90")]
    with pytest.raises(QueueFull):
        await collect(rig.engine.generate(PROMPT, greedy(4)))
    assert len(rig.server.asked) == 1, "it says itself that nobody would wait so long"
    monkeypatch.setattr(engine, "LINE", 0.3)
    rig.server.next = [refusing(429)] * 1000
    with pytest.raises(QueueFull, match="Please try again later"):
        await collect(rig.engine.generate(PROMPT, greedy(4)))
    rig.server.next = [ending(2, failing(429))] * 2
    assert await collect(rig.engine.generate(PROMPT, greedy(4))) == reply(PROMPT, 4)


@pytest.mark.parametrize(
    ("refused", "kind", "sentence"),
    [
        (refusing(401), EngineError, "does not accept this app's key"),
        (refusing(403), EngineError, "does not accept this app's key"),
        (refusing(404), EngineError, "does not have this model any more"),
        (refusing(400), EngineError, FAILED),
        (refusing(422), EngineError, FAILED),
        (refusing(413), TooLong, "longer than"),
        (refusing(400, code="context_length_exceeded", param="prompt"), TooLong, "longer than"),
        (refusing(400, type="exceed_context_size_error"), TooLong, "longer than"),
        (ending(0, failing(400)), EngineError, FAILED),
        (
            refusing(
                400,
                message="The input (9 tokens) is longer than the model's context length (4 tokens)",
            ),
            TooLong,
            "longer than",
        ),
        (
            refusing(400, message="maximum context length is 4 tokens", param="input_tokens"),
            TooLong,
            "longer than",
        ),
    ],
)
async def test_what_is_refused_is_not_asked_again_and_nothing_of_it_is_told(
    rig_of: Callable[[], Rig],
    refused: Any,
    kind: type[Exception],
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = rig_of()
    rig.server.next = [refused]
    with caplog.at_level(logging.DEBUG, "chat"), pytest.raises(kind, match=sentence) as caught:
        await collect(rig.engine.generate(PROMPT, greedy(4)))
    assert len(rig.server.asked) == 1
    assert SECRET not in caplog.text + str(caught.value)


async def test_hanging_up_is_noticed_within_a_second(rig_of: Callable[[], Rig]) -> None:
    rig = rig_of()
    rig.server.next = [lambda events: slowly(events)]
    async with aclosing(rig.engine.generate(PROMPT, greedy(4000))) as batches:
        await first(batches)
        assert rig.server.active == 1
    begin = time.monotonic()
    while rig.server.active and time.monotonic() - begin < 1:
        await asyncio.sleep(0.01)
    assert not rig.server.active


async def slowly(events: Events) -> Events:
    async with aclosing(events):
        async for one in events:
            yield one
            await asyncio.sleep(0.01)


async def test_who_closes_before_anything_came_hangs_up_too(rig_of: Callable[[], Rig]) -> None:
    rig = rig_of()
    ended = threading.Event()

    async def reading(events: Events) -> Events:
        try:
            async for one in silent():
                yield one
        finally:
            ended.set()

    rig.server.next = [reading]
    batches = rig.engine.generate(PROMPT, greedy(4))
    assert [await anext(batches), await anext(batches)] == [[], []]
    await batches.aclose()
    assert await asyncio.to_thread(ended.wait, 1)


@pytest.mark.parametrize("refused", [refusing(500), refusing(503, code=ENDED), cut(0)])
async def test_what_may_have_ended_a_server_is_asked_of_two_more_and_no_others(
    rig_of: Callable[[], Rig], refused: Any
) -> None:
    rig = rig_of()
    rig.server.next = [refused] * 20
    with pytest.raises(EngineError, match="Please try again"):
        await collect(rig.engine.generate(PROMPT, greedy(4)))
    assert len(rig.server.asked) == MOST + 1 == 3
    rig.server.next = [refused] * MOST
    assert await collect(rig.engine.generate(PROMPT, greedy(4))) == reply(PROMPT, 4)


@pytest.mark.parametrize("status", [408, 425, 502, 503, 521])
async def test_that_nobody_takes_a_request_is_waited_for_and_no_end_of_a_reply(
    rig_of: Callable[[], Rig], status: int
) -> None:
    """As while all servers are replaced, one after another."""
    rig = rig_of()
    rig.server.next = [cut(1), *[refusing(status, "0")] * 9, cut(1), *[refusing(status, "0")] * 9]
    assert await collect(rig.engine.generate(PROMPT, greedy(9))) == reply(PROMPT, 9)
    assert len(rig.server.asked) == 21


async def test_a_server_that_beats_may_not_be_silent_for_long(rig_of: Callable[[], Rig]) -> None:
    rig = rig_of()
    way = connection.Connection(rig.running.url)
    way.silence = 0.2
    asked = engine.ServerEngine(way, Ours(()), "tiny", {STOP}, 4096, 64, always)
    rig.server.next = [lambda events: silent()]
    assert await collect(asked.generate(PROMPT, greedy(4))) == reply(PROMPT, 4)
    asked.close()


async def test_who_stands_in_a_line_in_silence_has_lost_nothing(
    rig_of: Callable[[], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a proxy that keeps requests until there is a place, and says nothing of it."""
    monkeypatch.setattr(engine, "RETRY", 0.0)
    rig = rig_of()
    way = connection.Connection(rig.running.url)
    way.silence = 0.1
    asked = engine.ServerEngine(way, Ours(()), "tiny", {STOP}, 4096, 64, always)
    rig.server.next = [lambda events: Unsaid()] * 5
    batches = [ids async for ids in asked.generate(PROMPT, greedy(4))]
    assert [id for ids in batches for id in ids] == reply(PROMPT, 4)
    assert any(isinstance(ids, Queued) for ids in batches)
    monkeypatch.setattr(engine, "LINE", 0.3)
    rig.server.next = [lambda events: Unsaid()] * 50
    with pytest.raises(QueueFull):
        await collect(asked.generate(PROMPT, greedy(4)))
    asked.close()


class Unsaid(Response):
    """An answer that does not even begin."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


async def test_who_has_stood_long_in_the_line_of_a_server_that_ends_asks_another(
    rig_of: Callable[[], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ABSENCE", 0.3)
    monkeypatch.setattr(engine, "RETRY", 0.1)
    rig = rig_of()

    async def ends(events: Events) -> Events:
        for _ in range(5):
            yield b": nothing yet\n\n"
            await asyncio.sleep(0.1)
        yield failing(503)

    rig.server.next = [ends]
    assert await collect(rig.engine.generate(PROMPT, greedy(4))) == reply(PROMPT, 4)


async def test_silence_ends_at_some_time(
    rig_of: Callable[[], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE", 0.2)
    rig = rig_of()
    rig.server.next = [lambda events: silent()]
    assert await collect(rig.engine.generate(PROMPT, greedy(4))) == reply(PROMPT, 4)


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[int]]]:
    """Serve these, one to each request, on connections that end after each; gives their places.

    An answer of no bytes is a connection that is closed instead.
    """
    served: list[int] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for place, answer in enumerate(answers):
            taken, _ = listening.accept()
            with taken:
                taken.recv(65536)
                served.append(place)
                taken.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", served
    thread.join(10)
    listening.close()


WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"choices": [{"token_ids": [7, 8], "finish_reason": "length"}]}\n\n'
)


async def test_a_kept_connection_that_is_closed_meanwhile_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "FIRST_WAIT", 20.0)
    monkeypatch.setattr(engine, "LONGEST_WAIT", 20.0)
    with answering(b"", WHOLE) as (url, served):
        asked = engine_at(url)
        begin = time.monotonic()
        assert await collect(asked.generate(PROMPT, greedy(2))) == [7, 8]
        assert time.monotonic() - begin < 5, "without waiting for anything"
        assert served == [0, 1]
    asked.close()


async def test_a_server_that_is_not_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RETRY", 0.05)
    monkeypatch.setattr(engine, "ABSENCE", 0.2)
    asked = engine_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(EngineError, match=r"server cannot be reached\. Please try again"):
        await collect(asked.generate(PROMPT, greedy(2)))
    asked.close()


async def test_a_conversation_has_a_name_that_only_the_key_tells_and_a_new_one_after_two_breaks(
    rig_of: Callable[[str], Rig],
) -> None:
    session = "0123456789abcdef" * 2
    names = {}
    for key in ("", "one", "two"):
        rig = rig_of(key)
        rig.server.next = [cut(1), cut(1)]
        await collect(rig.engine.generate(PROMPT, greedy(9), session=session))
        seen = [name or "" for name in rig.server.sessions]
        assert all(len(name) == 32 and int(name, 16) >= 0 for name in seen)
        assert seen[0] == seen[1]
        assert len({*seen}) == len(seen) - 1
        names[key] = seen[0]
    assert names[""] == session
    assert len({*names.values()}) == 3
    rig = rig_of("")
    rig.server.next = [refusing(503, "0")] * 3
    await collect(rig.engine.generate(PROMPT, greedy(2), session=session))
    assert len({*rig.server.sessions}) == 3, "nor is it for one who says that nobody is there"
    rig = rig_of("")
    rig.server.next = [refusing(429, "0")] * 3
    await collect(rig.engine.generate(PROMPT, greedy(2), session=session))
    assert {*rig.server.sessions} == {session}, "a place in line is kept"
    rig = rig_of("")
    await collect(rig.engine.generate(PROMPT, greedy(2)))
    assert rig.server.sessions == [None]


async def test_what_a_server_cannot_obey_together_is_refused_before() -> None:
    class Fussy:
        title, path, supports = "Fussy", "/", frozenset({"choices"})

        def check(self, sampling: Sampling) -> None:
            raise BadRequest("Not both.", "choices")

    fussy: Any = Fussy()
    way = connection.Connection("http://127.0.0.1:9")
    asked = engine.ServerEngine(way, fussy, "", (), 64, 1, always)
    with pytest.raises(BadRequest, match="Not both"):
        await asked.admit(Sampling())
    with pytest.raises(BadRequest, match="Not both"):
        await collect(asked.generate(PROMPT, greedy(2)))
    asked.close()


async def test_adapters_are_models_of_their_own_to_a_server(rig_of: Callable[[], Rig]) -> None:
    rig = rig_of()
    names = {"tales": "tiny:tales", "none": "tiny"}
    way = connection.Connection(rig.running.url)
    asked = engine.ServerEngine(way, Ours(()), "tiny", {STOP}, 4096, 64, always, names)
    for adapter in ("", "tales", "none"):
        await collect(asked.generate(PROMPT, greedy(1, adapter=adapter)))
    assert [body["model"] for body in rig.server.asked] == ["tiny", "tiny:tales", "tiny"]
    asked.close()
