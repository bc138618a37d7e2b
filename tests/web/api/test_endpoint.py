"""chat.web.api.endpoint: who hangs up stops the work, over HTTP and around a scripted engine."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.types import Message

from chat.settings import Settings
from chat.web.api import asgi, request
from chat.web.api import routes as api
from chat.web.api.body import MAX_BODY
from chat.web.api.request import read
from chat.web.api.shapes import RequestBody
from tests.conftest import serving
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.programs import Programs
from tests.support.waiting import until

AGES = 600.0
HI = [{"role": "user", "content": "hi"}]


@contextmanager
def asking(url: str, path: str = "/v1/chat/completions", **fields: Any) -> Iterator[socket.socket]:
    """Send a request, and hang up at the end of the block."""
    address = urlsplit(url)
    asked = {"prompt": "hi"} if path == "/v1/completions" else {"messages": HI}
    body = json.dumps({**asked, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        yield client


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, ScriptedEngine]]:
    """One server for all."""
    engine = ScriptedEngine()
    with serving() as serve:
        yield serve(engine, max_waiting=1), engine


@pytest.fixture
def server(served: tuple[str, ScriptedEngine]) -> tuple[str, ScriptedEngine]:
    """The server with an engine as good as new."""
    vars(served[1]).update(vars(ScriptedEngine()))
    return served


Server = tuple[str, ScriptedEngine]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_closed_connection_stops_the_generation_within_one_token(
    server: Server, path: str, stream: bool
) -> None:
    url, engine = server
    engine.script, engine.pace = lambda prompt: "x" * 250, 0.2
    with asking(url, path, stream=stream):
        until(lambda: engine.given > 1)
        given, engine.pace = engine.given, 5.0
    until(lambda: engine.active == 0)
    assert engine.given - given <= 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_connection_stops_the_reading_of_a_prompt(server: Server, stream: bool) -> None:
    url, engine = server
    engine.reading = AGES
    with asking(url, stream=stream):
        until(lambda: engine.active == 1)
    until(lambda: engine.active == 0)
    assert engine.given == 0


def full(url: str) -> bool:
    """Whether there is no place left."""
    body = {"messages": HI, "stream": True}
    with httpx.stream("POST", f"{url}v1/chat/completions", json=body) as answer:
        assert answer.status_code in (200, 429)
        return answer.status_code == 429


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_while_waiting_gives_the_place_back(server: Server, stream: bool) -> None:
    url, engine = server
    engine.reading = AGES
    with asking(url):
        until(lambda: engine.active == 1)
        with asking(url, stream=stream):
            until(lambda: full(url))
        until(lambda: not full(url))
        assert len(engine.prompts) == 1
    until(lambda: engine.active == 0)


async def test_who_does_not_read_what_is_sent_does_not_keep_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "PATIENCE", 0.05)
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.01)
    mount, *_ = api.routes(chat_with(engine), Settings())
    body = json.dumps({"messages": HI, "stream": True}).encode()
    received: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        return received.pop() if received else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        if engine.given:
            await asyncio.get_running_loop().create_future()

    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
    scope |= {"headers": [(b"content-type", b"application/json")]}
    await mount.handle({**scope, **mount.matches(scope)[1]}, receive, send)
    assert engine.active == 0
    assert 0 < engine.given < 250


def test_a_connection_can_be_used_again(server: Server) -> None:
    with httpx.Client(base_url=server[0]) as client:
        for stream in (False, True, False):
            body = {"messages": HI, "stream": stream}
            answer = client.post("/v1/chat/completions", json=body)
            assert (answer.status_code, "connection" in answer.headers) == (200, False)


def test_the_page_and_the_api_refuse_with_the_same_words(server: Server) -> None:
    url, _ = server
    page = Client(url, verbose=False, analytics_enabled=False)
    for message, name, field, value in [
        ("hi", "temperature", "temperature", 9),
        ("hi", "max_new_tokens", "max_tokens", -2),
        ("hi", "seed", "seed", "5"),
        (" ", "top_k", "top_k", 1),
        ("x" * 3000, "top_k", "top_k", 1),
    ]:
        with pytest.raises(AppError) as refused:
            page.predict(message, **{name: value}, api_name="/chat")
        asked = {"messages": [{"role": "user", "content": message}], field: value}
        answer = httpx.post(f"{url}v1/chat/completions", json=asked)
        assert answer.status_code == 400
        same = str(refused.value).strip("'")
        told = answer.json()["error"]["message"]
        assert told.lower().removeprefix("the prompt is too long: ") == same.lower()


def test_a_page_of_another_site_cannot_ask(server: Server) -> None:
    url, engine = server[0] + "v1/chat/completions", server[1]
    elsewhere = {"Origin": "https://elsewhere.example"}
    asking = {"Access-Control-Request-Method": "POST"}
    asking["Access-Control-Request-Headers"] = "content-type"
    allowed = httpx.options(url, headers=elsewhere | asking)
    assert "access-control-allow-origin" not in allowed.headers
    # What needs no leave is not JSON.
    simple = elsewhere | {"Content-Type": "text/plain"}
    answer = httpx.post(url, content=json.dumps({"messages": HI}), headers=simple)
    assert answer.status_code == 415
    assert engine.prompts == []


def test_a_request_that_weighs_too_much_is_refused_in_openais_shape(server: Server) -> None:
    url = f"{server[0]}v1/chat/completions"
    answer = httpx.post(url, json={"messages": [{"role": "user", "content": "x" * MAX_BODY}]})
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == f"The limit is {MAX_BODY:,} bytes."


async def test_while_a_request_is_read_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    others = threading.Event()

    def read_slowly(shape: type[RequestBody], body: bytes) -> Any:
        assert others.wait(5), "nobody else was answered"
        return read(shape, body)

    monkeypatch.setattr(request, "read", read_slowly)
    programs = Programs(ScriptedEngine())
    asking = asyncio.create_task(programs.chats())
    assert (await programs.client.get("/models")).status_code == 200
    others.set()
    assert (await asking).status_code == 200
