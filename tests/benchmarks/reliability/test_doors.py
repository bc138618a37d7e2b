"""What a program got counts as a reply only if it has a text and an end."""

import asyncio
import json
import os
from typing import Any

import httpx2
import pytest

from benchmarks.reliability import doors
from benchmarks.reliability.doors import Empty, Program, Refused, Reply
from benchmarks.reliability.watch import ABORTED, RUNNING, Server, fill

USAGE = {"choices": [], "usage": {"completion_tokens": 2}}
DONE = "[DONE]"


def part(text: str | None = None, ending: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": ending}]}


def whole(text: str | None, ending: str | None) -> dict[str, Any]:
    choice = {"message": {"content": text}, "finish_reason": ending}
    return {"choices": [choice], "usage": {"completion_tokens": 2}}


def asked(monkeypatch: pytest.MonkeyPatch, body: str, *, stream: bool) -> Reply:
    def client(url: str, headers: dict[str, str]) -> httpx2.AsyncClient:
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=body))
        return httpx2.AsyncClient(base_url=url, transport=transport)

    monkeypatch.setattr(doors, "client_of", client)
    program, reply = Program("http://here", stream=stream), Reply()
    asyncio.run(program.ask("Hi.", 2, reply))
    return reply


def streamed(monkeypatch: pytest.MonkeyPatch, *events: Any) -> Reply:
    told = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return asked(monkeypatch, "".join(f"data: {one}\n\n" for one in told), stream=True)


@pytest.mark.parametrize("ending", ["stop", "length"])
def test_a_reply_has_a_text_and_an_end(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    reply = streamed(monkeypatch, part("No"), part("."), part(ending=ending), USAGE, DONE)
    assert (reply.text, reply.ending, reply.tokens) == ("No.", ending, 2)
    reply = asked(monkeypatch, json.dumps(whole("No.", ending)), stream=False)
    assert (reply.text, reply.ending, reply.tokens) == ("No.", ending, 2)


@pytest.mark.parametrize(
    "events",
    [
        [DONE],
        [part("No."), DONE],
        [part("No."), part(ending="error"), DONE],
        [part("No."), part(ending="stop")],
        [part("No."), {"error": {"message": "It failed."}}, DONE],
    ],
)
def test_all_else_that_is_streamed_is_none(
    monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    with pytest.raises(Refused) as refused:
        streamed(monkeypatch, *events)
    assert not isinstance(refused.value, Empty)


@pytest.mark.parametrize(
    ("text", "ending"), [("No.", None), ("No.", "abort"), (None, "tool_calls")]
)
def test_nor_is_what_comes_whole(
    monkeypatch: pytest.MonkeyPatch, text: str | None, ending: str | None
) -> None:
    with pytest.raises(Refused):
        asked(monkeypatch, json.dumps(whole(text, ending)), stream=False)


def test_a_reply_without_text_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Empty):
        streamed(monkeypatch, part(""), part(ending="stop"), DONE)
    with pytest.raises(Empty):
        asked(monkeypatch, json.dumps(whole("", "stop")), stream=False)


def test_what_fills_a_cache_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reliability.watch.LOOKS", 1)
    texts: list[str] = []

    async def ask(text: str) -> None:
        texts.append(text)
        raise Empty

    asyncio.run(fill(os.getpid(), ask, 3))
    assert len(texts) > 1


def test_figures_say_how_many_were_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'vllm:num_requests_running{model_name="a"} 2.0\n'
        'vllm:request_success_total{finished_reason="abort",model_name="a"} 7.0\n'
        'vllm:request_success_total{finished_reason="error",model_name="a"} 1.0\n'
    )
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=text))
    server = Server("http://here", 0)
    server._client = httpx2.AsyncClient(base_url="http://here", transport=transport)
    figures = asyncio.run(server.figures())
    assert (figures[RUNNING], figures[ABORTED]) == (2.0, 7.0)
