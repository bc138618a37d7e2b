"""The benchmarks' program: any OpenAI-compatible server is asked as this app's API is."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from benchmarks import api, load
from benchmarks.client import ReplyError
from benchmarks.load import Job, Person
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

TALK = "Grüße, 世界 🙂\n\n" + "word " * 40 + "end"


def job(url: str, *people: Person) -> Job:
    return Job(url, os.getpid(), list(people), "api")


async def test_a_conversation_grows_and_its_replies_come_back_whole(serve: Serve) -> None:
    engine = ScriptedEngine(lambda _: TALK, pace=0.001)
    ((first, second),) = (await load.run(job(serve(engine), Person(["one", "two"])))).turns
    assert first.text == second.text == TALK
    times, lengths = zip(*first.updates, strict=True)
    assert first.sent < times[0] < first.settled
    assert len(times) > 2
    assert lengths[-1] == len(TALK)
    for said in ("one", TALK, "two"):
        assert said in engine.prompts[-1]


async def test_the_pages_controls_are_the_apis_fields(serve: Serve) -> None:
    engine = ScriptedEngine(lambda _: TALK)
    person = Person(["Hello"], {"Max new tokens": 7, "Seed": 3})
    await load.run(job(serve(engine), person))
    sampling = engine.samplings[-1]
    assert (sampling.max_new_tokens, sampling.seed) == (7, 3)
    assert (sampling.temperature, sampling.top_p) == (0.7, 0.95)


async def test_what_a_server_refuses_is_an_error(serve: Serve) -> None:
    with pytest.raises(ReplyError, match="400"):
        await load.run(job(serve(ScriptedEngine()), Person(["Hi"], {"Max new tokens": "all"})))


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncGenerator[tuple[str, list[str]]]:
    """Serve these answers, one a connection; gives its address, and the heads of requests."""
    heads: list[str] = []
    left = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(next(left))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/under", heads


def stream(*events: str) -> bytes:
    """Return a stream as some servers send it: with other line ends, and until it is closed."""
    body = "".join(f"data: {event}\r\n\r\n" for event in (*events, "[DONE]"))
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{body}".encode()


async def test_other_servers_have_other_line_ends_and_a_key_and_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    words = '{"choices": [{"delta": {"content": "Yes"}}]}', '{"choices": [{"delta": {}}]}'
    usage = '{"choices": [], "usage": {}}'
    async with saying(stream(*words, usage)) as (url, heads):
        program = api.Program(url, {"model": "m"})
        assert (await program.send("Hi")).text == "Yes"
        program.close()
    assert heads[0].startswith("POST /under/v1/chat/completions ")
    assert "Authorization: Bearer secret\r\n" in heads[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (stream('{"error": {"message": "No more paper."}}'), r"No more paper\."),
        (stream("no JSON"), "Expecting value"),
        (stream(), "empty"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503"),
        (b"", "0 bytes"),
    ],
)
async def test_one_that_fails_is_an_error(answer: bytes, said: str) -> None:
    async with saying(answer) as (url, _):
        program = api.Program(url, {"model": "m"})
        with pytest.raises(ReplyError, match=said):
            await program.send("Hi")
        assert program.under_way.is_set()
        program.close()


async def test_one_that_names_no_model_is_an_error(serve: Serve) -> None:
    assert (await api.config(serve(ScriptedEngine())))["model"]
    async with saying(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}") as (url, _):
        with pytest.raises(ReplyError, match="no model"):
            await api.config(url)
