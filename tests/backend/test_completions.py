"""chat.backend.completions: ids as they come, for as long as somebody listens."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from chat.backend.app import build
from chat.core import chat as core
from chat.engines.server.refusals import ENDED
from chat.errors import EngineError, OutOfMemory
from chat.settings import Settings
from chat.web.api.authentication import OF_ADDRESS
from chat.web.visitors import guesses
from tests.support.backends import Able, Backend, asking, choices, ids, served
from tests.support.fakes import END, ScriptedEngine, chat_with
from tests.support.programs import error
from tests.support.waiting import until


def hello(_: str) -> str:
    return "hello"


def failing(_: str) -> str:
    raise OutOfMemory("There was not enough memory.")


def told(found: list[Any]) -> list[int]:
    return [id for choice in found for id in choice["token_ids"]]


async def test_a_stream_has_each_id_once_the_one_that_ends_it_too() -> None:
    found = choices(await Backend(ScriptedEngine(hello, pace=0.02)).streams())
    assert told(found) == [*ids("hello"), END]
    assert [choice["finish_reason"] for choice in found] == [None] * (len(found) - 1) + ["stop"]
    assert len(found) > 1


async def test_an_event_is_as_vllm_writes_it() -> None:
    answer = await Backend(ScriptedEngine(hello)).streams(model="model")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    event = json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))
    assert event.pop("id").startswith("cmpl-")
    assert event.pop("created") > 0
    choice = {
        "index": 0,
        "text": "",
        "token_ids": [*ids("hello"), END],
        "finish_reason": "stop",
        "logprobs": None,
    }
    assert event == {"object": "text_completion", "model": "model", "choices": [choice]}


async def test_a_reply_that_is_cut_off_says_so() -> None:
    backend = Backend(ScriptedEngine(hello))
    found = choices(await backend.streams(max_tokens=3))
    assert (told(found), found[-1]["finish_reason"]) == (ids("hel"), "length")
    # Its last token is the one that ends it.
    found = choices(await backend.streams(max_tokens=6))
    assert (told(found), found[-1]["finish_reason"]) == ([*ids("hello"), END], "stop")


async def test_one_that_the_engine_ends_has_ended() -> None:
    class Ending(ScriptedEngine):
        async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[list[int]]:
            yield ids("he")

    found = choices(await Backend(Ending()).streams())
    assert (told(found), found[-1]["finish_reason"]) == (ids("he"), "stop")


async def test_it_ends_after_ids_of_the_request_too() -> None:
    engine = ScriptedEngine(hello)
    backend = Backend(engine)
    found = choices(await backend.streams(stop_token_ids=[ord("l"), END]))
    assert (told(found), found[-1]["finish_reason"]) == (ids("hel"), "stop")
    assert engine.active == 0


async def test_a_reply_at_once_is_the_same() -> None:
    answer = await Backend(ScriptedEngine(hello)).completes()
    whole = answer.json()
    assert whole["choices"] == [
        {
            "index": 0,
            "text": "",
            "prompt_token_ids": ids("hi"),
            "token_ids": [*ids("hello"), END],
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_with_how_likely_they_were(stream: bool) -> None:
    answer = await Backend(Able(lambda _: "a")).completes(stream=stream, logprobs=2)
    choice = choices(answer)[0] if stream else answer.json()["choices"][0]
    assert choice["logprobs"] == {
        "token_logprobs": [-0.25, -0.25],
        "top": [[[97, -0.25], [98, -1.25]], [[0, -0.25], [1, -1.25]]],
    }
    answer = await Backend(Able(lambda _: "a")).completes(logprobs=0)
    assert answer.json()["choices"][0]["logprobs"]["top"] == [[], []]


async def test_what_json_has_no_number_for_is_given_as_very_unlikely() -> None:
    from chat.core.engine import Scored

    class Sure(Able):
        async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[list[int]]:
            yield [Scored(END, float("-inf"), ((65, float("-inf")),))]

    answer = await Backend(Sure()).completes(logprobs=1)
    assert answer.json()["choices"][0]["logprobs"] == {
        "token_logprobs": [-9999.0],
        "top": [[[65, -9999.0]]],
    }


async def test_while_a_prompt_is_read_there_are_heartbeats() -> None:
    answer = await Backend(ScriptedEngine(hello, reading=0.6)).streams()
    assert answer.text.startswith(": \n\n: \n\ndata: ")
    assert told(choices(answer)) == [*ids("hello"), END]


async def test_so_there_are_for_who_waits_in_line_and_one_more_is_refused() -> None:
    engine = ScriptedEngine(hello, pace=0.1)
    backend = Backend(engine, max_waiting=1)
    first = asyncio.create_task(backend.streams())
    while not engine.active:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(backend.streams())
    while backend.chat.gate.size < 2:
        await asyncio.sleep(0.01)
    for stream in (False, True):
        refused = await backend.completes(stream=stream)
        assert error(refused, 429)["code"] == "rate_limit_exceeded"
        assert refused.headers["retry-after"] == "5"
    answers = await asyncio.gather(first, second)
    assert [told(choices(one)) for one in answers] == [[*ids("hello"), END]] * 2
    assert answers[1].text.startswith(": \n\n")
    assert engine.most_active == 1


async def test_what_is_written_meanwhile_comes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "INTERVAL", 0.1)
    engine = ScriptedEngine(lambda _: "x" * 200, pace=0.002)
    found = choices(await Backend(engine).streams(max_tokens=201))
    assert told(found) == [*ids("x" * 200), END]
    assert len(found) <= 0.4 / 0.1 + 3
    assert len(found[0]["token_ids"]) < 50, "the first comes at once"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_token_has_a_status(stream: bool) -> None:
    answer = await Backend(ScriptedEngine(failing)).completes(stream=stream)
    found = error(answer, 500)
    assert found["message"] == "There was not enough memory."
    assert found["type"] == "server_error"


@pytest.mark.parametrize(
    ("caught", "sentence"),
    [
        (OutOfMemory("There was not enough memory."), "There was not enough memory."),
        (ValueError("secret"), "Something went wrong on the server. Please try again."),
    ],
)
async def test_later_it_is_an_event_after_which_nothing_is_done(
    caught: Exception, sentence: str
) -> None:
    class Failing(ScriptedEngine):
        async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[list[int]]:
            yield ids("he")
            raise caught

    answer = await Backend(Failing()).streams()
    *_, event, rest = answer.text.split("\n\n")
    failed = {"message": sentence, "type": "server_error", "code": 500}
    assert json.loads(event.removeprefix("data: ")) == {"error": failed}
    assert rest == ""
    assert "[DONE]" not in answer.text


async def test_an_engine_that_is_not_there_takes_no_request() -> None:
    engine = ScriptedEngine(hello)
    engine.state = "loading"
    backend = Backend(engine)
    refused = await backend.completes()
    error(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert (await backend.client.get("/health")).status_code == 503
    assert (await backend.client.get("/live")).status_code == 200
    assert engine.prompts == []
    engine.state = "ready"
    assert (await backend.completes()).status_code == 200
    assert (await backend.client.get("/health")).json() == {"status": "ready"}


class Dying(ScriptedEngine):
    """Is gone after `given` ids."""

    given_first = 2

    async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[list[int]]:
        if self.given_first:
            yield ids("he")
        self.state = "loading"
        raise EngineError("The model failed.")


async def test_a_stream_whose_engine_ends_breaks_off_without_a_word() -> None:
    with served(chat_with(Dying())) as url:
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", f"{url}/v1/completions", json=asking(stream=True)) as answer,
        ):
            lines = answer.aiter_lines()
            first = json.loads((await anext(lines)).removeprefix("data: "))
            assert await anext(lines) == ""
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(lines)
    assert first["choices"][0]["token_ids"] == ids("he")


@pytest.mark.parametrize("stream", [False, True])
async def test_before_its_first_token_it_is_refused_so_that_another_is_asked(stream: bool) -> None:
    engine = Dying()
    engine.given_first = 0
    refused = await Backend(engine).completes(stream=stream)
    assert error(refused, 503)["code"] == ENDED, "it may be why the engine has ended"
    assert "retry-after" in refused.headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reading", [0.0, 60.0])
def test_who_hangs_up_frees_the_place_within_a_second(stream: bool, reading: float) -> None:
    engine = ScriptedEngine(lambda _: "x" * 1000, pace=0.1, reading=reading)
    chat = chat_with(engine)
    with served(chat) as url:
        address = urlsplit(url)
        body = json.dumps(asking(stream=stream, max_tokens=1900)).encode()
        head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(head.encode() + body)
            until(lambda: engine.active == 1)
        until(lambda: engine.active == 0 and chat.gate.size == 0, seconds=1)
        assert engine.given < 100


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer right"}, 200),
    ],
)
async def test_a_key_is_asked_for(headers: dict[str, str], status: int) -> None:
    backend = Backend(ScriptedEngine(hello), api_key="right")
    assert (await backend.completes(headers=headers)).status_code == status
    listed = await backend.client.get("/v1/models", headers=headers)
    assert listed.status_code == status
    assert len(backend.engine.prompts) == (status == 200)
    for open_to_all in ("/health", "/live"):
        assert (await backend.client.get(open_to_all)).status_code == 200


async def test_an_address_that_guesses_has_to_wait_and_no_private_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    app = build(chat_with(ScriptedEngine(hello)), Settings(api_key="k-of-the-backends"))

    async def look(address: str, key: str = "wrong") -> int:
        transport = httpx.ASGITransport(app, client=(address, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.get("/v1/models", headers={"x-api-key": key})).status_code

    for address in ("203.0.113.7", "10.0.0.7"):
        assert [await look(address) for _ in range(OF_ADDRESS.free)] == [401] * OF_ADDRESS.free
    assert await look("203.0.113.7") == await look("203.0.113.7", "k-of-the-backends") == 429
    assert await look("203.0.113.8", "k-of-the-backends") == 200
    assert await look("10.0.0.7") == await look("a socket") == 401


async def test_nothing_else_is_here() -> None:
    backend = Backend(ScriptedEngine(hello))
    for path in ("/v1/chat/completions", "/v1/", "/v1/responses"):
        assert error(await backend.client.post(path, json={}), 404)["type"]
    assert error(await backend.client.get("/v1/completions"), 405)
    assert (await backend.client.get("/")).status_code == 404


async def test_what_is_counted_of_replies_is_told() -> None:
    backend = Backend(ScriptedEngine(hello), api_key="right")
    key = {"Authorization": "Bearer right"}
    await backend.completes(headers=key)
    await backend.completes(headers=key, stream=True, max_tokens=3)
    assert (await backend.client.get("/metrics")).status_code == 401
    told = (await backend.client.get("/metrics", headers=key)).text
    assert 'vllm:generation_tokens_total{model_name="model"} 9.0' in told
    assert 'vllm:prompt_tokens_total{model_name="model"} 4.0' in told
    for reason in ("stop", "length"):
        counted = f'finished_reason="{reason}",model_name="model"}} 1.0'
        assert f"vllm:request_success_total{{{counted}" in told


async def test_once_it_is_to_end_who_is_in_is_answered_and_nobody_is_let_in() -> None:
    backend = Backend(ScriptedEngine(hello, pace=0.05))
    reply = asyncio.create_task(backend.streams())
    while not backend.engine.active:
        await asyncio.sleep(0.01)
    backend.chat.gate.shut = True
    health = await backend.client.get("/health")
    assert (health.status_code, health.json()) == (503, {"status": "draining"})
    refused = await backend.streams()
    assert error(refused, 503)["code"] == "draining"
    assert int(refused.headers["retry-after"]) > 0
    assert (await backend.client.get("/live")).status_code == 200
    assert told(choices(await reply)) == [*ids("hello"), END]


async def test_what_the_cache_holds_of_a_prompt_is_told_as_vllm_tells_of_usage() -> None:
    answer = await Backend(ScriptedEngine(hello, cached=2)).streams()
    event = json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))
    assert event["choices"] == []
    assert event["usage"] == {"prompt_tokens_details": {"cached_tokens": 2}}
    assert told(choices(answer)) == [*ids("hello"), END]
