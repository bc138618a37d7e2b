"""chat.web.api.streams: a stream goes on where its client left it, over cut connections."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from chat.core import kept
from chat.core.gate import Gate
from chat.web.api.events import event
from chat.web.api.streams import NoSuchStream, Streams
from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.waiting import until

HI = [{"role": "user", "content": "hi"}]
KEPT = {"Last-Event-ID": "0"}
#: The addresses of streams, and what is asked there.
PATHS = {
    "/v1/chat/completions": {"messages": HI},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": HI, "max_tokens": 500},
}
TALK = "".join(chr(97 + number % 26) for number in range(200))

Event = tuple[str, str]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, ScriptedEngine]]:
    """One server for all."""
    engine = ScriptedEngine()
    with serving() as serve:
        yield serve(engine, max_waiting=0), engine


@pytest.fixture
def server(served: tuple[str, ScriptedEngine]) -> Iterator[tuple[str, ScriptedEngine]]:
    """The server with an engine as good as new, which talks slowly."""
    vars(served[1]).update(vars(ScriptedEngine(lambda _: TALK, pace=0.02)))
    yield served
    served[1].pace = 0.001
    until(lambda: served[1].active == 0)


Server = tuple[str, ScriptedEngine]


@contextmanager
def listening(
    url: str, path: str = "/v1/chat/completions", **headers: str
) -> Iterator[Iterator[Event]]:
    """Ask for a stream, and hang up at the end of the block."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    json = {**PATHS[path], "stream": True}
    with httpx.stream("POST", url[:-1] + path, json=json, headers=named, timeout=20) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Yield the id and the data of each event, as the HTML Standard has them read."""
    id = data = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "data":
            data = value
        elif not line and data:
            yield id, data
            data = ""


def text_in(data: str) -> str:
    """Return what an event adds to the reply, whichever API it is of."""
    event = {} if data == "[DONE]" else json.loads(data)
    (choice,) = event.get("choices") or [{}]
    delta = event.get("delta") if isinstance(event.get("delta"), str) else ""
    if isinstance(event.get("delta"), dict):
        delta = event["delta"].get("text", "")
    return str(delta or choice.get("text") or choice.get("delta", {}).get("content") or "")


def cut_after(
    url: str, number: int, path: str = "/v1/chat/completions", **headers: str
) -> list[Event]:
    """Return the first events of a stream that is to be kept, and is cut after them."""
    with listening(url, path, **{"Last-Event-ID": "0", **headers}) as stream:
        return [next(stream) for _ in range(number)]


def come_back(url: str, id: str, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    headers = {"Last-Event-ID": id, **more.pop("headers", {})}
    return httpx.request("POST", url[:-1] + path, headers=headers, **more)


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_was_cut_goes_on_after_the_last_event(server: Server, path: str) -> None:
    url, engine = server
    first = cut_after(url, 12, path)
    with listening(url, path, Last_Event_ID=first[-1][0]) as stream:
        rest = [next(stream)]
        engine.pace = 0.001
        rest += stream
    ids = [id for id, _ in [*first, *rest]]
    (reply,) = {id.partition(".")[0] for id in ids}
    assert re.fullmatch("[0-9a-f]{32}", reply)
    assert ids == [f"{reply}.{number + 1}" for number in range(len(ids))]
    assert "".join(text_in(data) for _, data in [*first, *rest]) == TALK
    assert len(engine.prompts) == 1


def test_it_goes_on_without_its_client_and_is_there_when_it_is_over(server: Server) -> None:
    url, engine = server
    first = cut_after(url, 3)
    engine.pace = 0.001
    until(lambda: engine.active == 0)
    assert engine.given == len(TALK) + 1
    again = come_back(url, first[-1][0])
    rest = list(events(iter([*again.text.splitlines(), ""])))
    assert "".join(text_in(data) for _, data in [*first, *rest]) == TALK
    assert rest[-1][1] == "[DONE]"
    nothing = come_back(url, rest[-1][0])
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_a_stream_that_nobody_asked_to_keep_has_no_ids_and_ends_with_its_client(
    server: Server,
) -> None:
    url, engine = server
    with listening(url) as stream:
        assert [next(stream)[0] for _ in range(5)] == [""] * 5
        engine.pace = 5.0
        given = engine.given
    until(lambda: engine.active == 0)
    assert engine.given - given <= 1


def test_who_knows_nothing_but_data_reads_one_that_is_kept(server: Server) -> None:
    url, engine = server
    engine.pace = 0.0
    body = {**PATHS["/v1/chat/completions"], "stream": True}
    answer = httpx.post(f"{url}v1/chat/completions", json=body, headers=KEPT)
    data = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert "".join(map(text_in, data)) == TALK
    assert data[-1] == "[DONE]"


def test_a_resumed_stream_is_cut_and_resumed_again(server: Server) -> None:
    url, engine = server
    got = cut_after(url, 3)
    for _ in range(3):
        with listening(url, Last_Event_ID=got[-1][0]) as stream:
            got += [next(stream) for _ in range(3)]
    engine.pace = 0.001
    with listening(url, Last_Event_ID=got[-1][0]) as stream:
        got += stream
    assert "".join(text_in(data) for _, data in got) == TALK


def test_who_comes_back_takes_over_from_a_connection_that_is_still_there(server: Server) -> None:
    url, _ = server
    with listening(url, Last_Event_ID="0") as old:
        first = [next(old) for _ in range(3)]
        with listening(url, Last_Event_ID=first[-1][0]) as new:
            next(new)
            left = list(old)
            assert "[DONE]" not in [data for _, data in left]
            assert full(url)
        assert not full(url)


def full(url: str) -> bool:
    """Whether there is no place left."""
    body = {**PATHS["/v1/chat/completions"], "stream": True}
    with httpx.stream("POST", f"{url}v1/chat/completions", json=body) as answer:
        return answer.status_code == 429


def test_left_alone_it_takes_no_place_and_says_so_to_who_comes_back(server: Server) -> None:
    url, engine = server
    with listening(url, Last_Event_ID="0") as stream:
        first = [next(stream) for _ in range(3)]
        assert full(url)
    with listening(url) as other:  # though nobody may wait
        assert "".join(text_in(next(other)[1]) for _ in range(3))
        assert engine.most_active == 1
    with listening(url, Last_Event_ID=first[-1][0]) as stream:
        *_, (_, last) = stream
    assert json.loads(last)["error"]["message"].startswith("This reply was ended, since nobody")


@pytest.mark.parametrize(
    "id",
    ["1", "-1", "a.1", "0" * 32, f"{'0' * 32}.x", f"{'0' * 32}.-1", f"{'g' * 32}.1", "Ω.1", "0.0"],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_what_is_no_id_is_refused(server: Server, path: str, id: str) -> None:
    answer = come_back(server[0], id.encode(), path)  # type: ignore[arg-type]
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "Last-Event-ID" in error["message"]
    assert server[1].prompts == []


def test_an_event_that_was_not_there_yet_is_refused(server: Server) -> None:
    url, engine = server
    reply = cut_after(url, 1)[0][0].partition(".")[0]
    engine.pace = 0.001
    answer = come_back(url, f"{reply}.999999")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Last-Event-ID")


def missing(answer: httpx.Response) -> bool:
    return answer.status_code == 404 and "no such stream" in str(answer.json()["error"])


def test_what_is_unknown_or_of_another_address_is_not_there(server: Server) -> None:
    url, engine = server
    id = cut_after(url, 2)[-1][0]
    assert missing(come_back(url, f"{'0' * 32}.1"))
    for path in list(PATHS)[1:]:
        assert missing(come_back(url, id, path))
    engine.pace = 0.001
    assert come_back(url, id).status_code == 200


def test_what_another_key_asked_for_is_not_there(server: Server) -> None:
    url, engine = server
    id = cut_after(url, 2, Authorization="Bearer mine")[-1][0]
    for other in ({}, {"Authorization": "Bearer MINE"}, {"x-api-key": "yours"}):
        assert missing(come_back(url, id, headers=other))
    engine.pace = 0.001
    assert come_back(url, id, headers={"Authorization": "bearer mine"}).status_code == 200


def test_without_seconds_nothing_is_kept(serve: Serve) -> None:
    engine = ScriptedEngine(lambda _: TALK, pace=0.02)
    url = serve(engine, keep_seconds=0)
    assert cut_after(url, 3)[-1][0] == ""
    until(lambda: engine.active == 0)
    assert engine.given < len(TALK)


def test_what_is_refused_is_refused_as_ever(server: Server) -> None:
    body = {"messages": HI, "stream": True, "temperature": "hot"}
    answer = httpx.post(f"{server[0]}v1/chat/completions", json=body, headers=KEPT)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "temperature")


def test_after_the_seconds_it_ends_and_is_forgotten(serve: Serve) -> None:
    engine = ScriptedEngine(lambda _: TALK, pace=0.05)
    url = serve(engine, keep_seconds=1)
    id = cut_after(url, 3)[-1][0]
    until(lambda: engine.active == 0)
    assert engine.given < len(TALK)
    until(lambda: missing(come_back(url, id)))


async def test_who_reads_too_slowly_is_told_so_and_cannot_come_back_to_what_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 1600)
    go_on, gone_on = asyncio.Event(), asyncio.Event()

    async def told() -> AsyncGenerator[bytes]:
        yield event("first")
        await go_on.wait()
        for number in range(100):
            yield event(number)
        gone_on.set()

    def scope(id: str) -> dict[str, Any]:
        return {"type": "http", "path": "/", "headers": [(b"last-event-id", id.encode())]}

    writer: Any = SimpleNamespace(failed=lambda error: str(error).encode())
    streams = Streams(Gate(1, 0), 60)
    stream = streams.kept(scope("0"), writer, told())
    first = (await anext(stream)).decode()
    go_on.set()
    await gone_on.wait()
    assert [some async for some in stream] == [b"This stream was read too slowly to be kept."]
    with pytest.raises(NoSuchStream):
        streams.find(scope(first.split("\n")[0].removeprefix("id: ")))


def test_openais_package_reads_one_that_is_kept(server: Server) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server[0]}v1", api_key="any", default_headers=KEPT)
    server[1].pace = 0.0
    chunks = client.chat.completions.create(model="any", messages=HI, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TALK
    with client.responses.stream(model="any", input="hi") as stream:
        assert stream.get_final_response().output_text == TALK


def test_anthropics_package_reads_one_that_is_kept(server: Server) -> None:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(base_url=server[0], api_key="any", default_headers=KEPT)
    server[1].pace = 0.0
    with client.messages.stream(model="any", max_tokens=500, messages=HI) as stream:
        assert "".join(stream.text_stream) == TALK
