"""The benchmarks' program: any OpenAI-compatible server is asked as this app's API is."""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from benchmarks import api, drawn, load
from benchmarks.client import ReplyError
from benchmarks.load import Door, Job, Person
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

TALK = "Grüße, 世界 🙂\n\n" + "word " * 40 + "end"


def job(url: str, *people: Person) -> Job:
    return Job(Door(api.base(url), os.getpid(), "api"), list(people))


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
    person = Person(["Hello"], drawn.controls(7, 3))
    await load.run(job(serve(engine), person))
    sampling = engine.samplings[-1]
    assert (sampling.max_new_tokens, sampling.min_new_tokens, sampling.seed) == (7, 7, 3)
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.7, 0.95, 50)
    assert (sampling.min_p, sampling.repetition_penalty) == (0, 1)
    assert engine.prompts[-1].startswith("system: You are a helpful assistant.")


async def test_what_a_server_refuses_is_an_error(serve: Serve) -> None:
    with pytest.raises(ReplyError, match=r"400: Max new tokens|400: max_tokens"):
        await load.run(job(serve(ScriptedEngine()), Person(["Hi"], {"Max new tokens": "all"})))


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncGenerator[tuple[str, list[str]]]:
    """Serve these answers, one a connection; gives its address, and the requests."""
    asked: list[str] = []
    left = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = re.search(r"Content-Length: (\d+)", head)
        asked.append(head + (await reader.readexactly(int(size[1] if size else 0))).decode())
        writer.write(next(left))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/under", asked


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def part(finish: str | None = None, **delta: str) -> str:
    return json.dumps({"choices": [{"delta": delta or None, "finish_reason": finish}]})


def stream(*events: str) -> bytes:
    """Return a stream as some servers send it: with other line ends, and until it is closed."""
    body = "".join(f"data: {event}\r\n\r\n" for event in (*events, "[DONE]"))
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{body}".encode()


async def test_other_servers_have_other_line_ends_and_a_key_and_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    words = part(content="Yes"), '{"choices": [{"delta": {}}]}', part("stop")
    usage = '{"choices": [], "usage": {}}'
    async with saying(stream(*words, usage)) as (url, heads):
        program = api.Program(url, {"model": "m"})
        assert (await program.send("Hi")).text == "Yes"
        program.close()
    assert heads[0].startswith("POST /under/chat/completions ")
    assert "Authorization: Bearer secret\r\n" in heads[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (stream('{"error": {"message": "No more paper."}}'), r"No more paper\."),
        (stream("no JSON"), "Expecting value"),
        (stream(part("stop")), "empty"),
        (stream(), "cut"),
        (stream(part(content="Ye")), "cut"),
        (stream(part("abort", content="Ye")), "abort"),
        (answer(503, "Busy"), "503: Busy"),
        (answer(401, '{"error": {"message": "No such key."}}'), r"401: No such key\.$"),
        (answer(422, '{"detail": "%s"}' % ("so " * 100)), r"422: (so ?){60,70}$"),
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


async def test_a_thought_counts_and_is_no_part_of_the_conversation() -> None:
    first = stream(part(reasoning_content="Hm"), part(reasoning="m"), part("stop", content="Yes"))
    async with saying(first, stream(part("length", content="No"))) as (url, asked):
        program = api.Program(url, {"model": "m"})
        turn = await program.send("Hi")
        await program.send("Why?")
        program.close()
    assert (turn.text, len(turn.updates)) == ("HmmYes", 3)
    said = json.loads(asked[1].splitlines()[-1])["messages"]
    assert [one["content"] for one in said] == ["Hi", "Yes", "Why?"]


MODELS = answer(200, '{"data": [{"id": "first"}]}')
HELLO = stream(part("length", content="Hello"))


async def test_our_api_is_asked_without_what_it_refuses(serve: Serve) -> None:
    found = await api.meet(api.base(serve(ScriptedEngine())))
    assert found["model"]
    assert found["without"] == ["ignore_eos"]


async def test_a_strict_server_is_asked_by_openais_fields_alone() -> None:
    no = answer(400, '{"error": {"message": "Unknown field."}}')
    async with saying(MODELS, no, no, HELLO) as (url, asked):
        found = await api.meet(url)
    assert found["model"] == "first"
    full, _, plain = (json.loads(one.splitlines()[-1]).keys() for one in asked[1:])
    assert full - plain == {*found["without"]}
    openai = {"model", "messages", "stream", "max_tokens", "temperature", "top_p", "seed"}
    assert plain == openai


async def test_a_model_that_is_named_is_asked_with_the_key_for_that_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ours")
    monkeypatch.setenv("AGAINST_API_KEY", "theirs")
    async with saying(HELLO) as (url, asked):
        found = await api.meet(url, "other", api.THEIR_KEYS)
    assert (found["model"], found["without"]) == ("other", [])
    assert "Authorization: Bearer theirs\r\n" in asked[0]
    assert "theirs" not in json.dumps(found)


async def test_what_a_server_refuses_for_good_is_told_at_once() -> None:
    async with saying(answer(401, '{"error": "No key."}')) as (url, asked):
        with pytest.raises(ReplyError, match=r"401: No key\."):
            await api.meet(url, "m")
    assert len(asked) == 1


async def test_one_that_names_no_model_is_an_error() -> None:
    async with saying(answer(404, '{"message": "Not here."}')) as (url, _):
        with pytest.raises(ReplyError, match=r"no model; .*404: Not here\."):
            await api.meet(url)
