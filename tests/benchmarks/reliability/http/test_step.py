"""What must not come of any request is noticed where it does."""

import asyncio
from itertools import islice
from random import Random

import pytest

from benchmarks.reliability.http import raw
from benchmarks.reliability.http.described import CANARY, Described
from benchmarks.reliability.http.raw import Raw
from benchmarks.reliability.http.step import Judge
from benchmarks.reliability.http.wire import Answer, closes, complete, exchange
from chat.errors import UNEXPECTED

OK = b"HTTP/1.1 200 OK\r\n\r\nYes."
WHOLE, CUT = Raw("", [b"GET / HTTP/1.1\r\n\r\n"]), Raw("cut", [b"GE"], whole=False)
REFUSED = b'HTTP/1.1 400 Bad Request\r\n\r\n{"error":"It is too long.","duration":10}'


@pytest.mark.parametrize(("sent", "answer"), [(WHOLE, OK), (CUT, b""), (CUT, OK), (WHOLE, REFUSED)])
def test_nothing_is_wrong_with_an_answer_or_an_end(sent: Raw, answer: bytes) -> None:
    judge = Judge()
    judge.judge(sent, Answer(answer, True))
    assert judge.wrong.total() == 0


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (WHOLE, None),
        (CUT, None),
        (WHOLE, b""),
        (CUT, b"HTTP/1.1 500 Internal Server Error\r\n\r\nInternal Server Error"),
        (WHOLE, OK + b"HTTP/1.1 500 Internal Server Error\r\n\r\n"),
        (WHOLE, REFUSED.replace(b"400 Bad Request", b"500 Internal Server Error")),
        (WHOLE, OK + b"Traceback (most recent call last):"),
        (WHOLE, OK + UNEXPECTED.encode()),
    ],
)
def test_silence_a_500_and_a_traceback_are_wrong(sent: Raw, answer: bytes | None) -> None:
    judge = Judge()
    judge.judge(sent, None if answer is None else Answer(answer, True))
    assert judge.wrong.total() > 0


LAST = Raw("", [b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"])
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nYes.\r\n"


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (Answer(LONG + b"Yes.", True), 0),
        (Answer(LONG + b"Yes." + CHUNKED + b"0\r\n\r\n", True), 0),
        (Answer(b"HTTP/1.1 100 Continue\r\n\r\n" + LONG + b"Yes.", True), 0),
        (Answer(OK, True), 0),
        (Answer(LONG + b"Ye", True), 1),
        (Answer(LONG + b"Yes." + LONG, True), 1),
        (Answer(CHUNKED, True), 1),
        (Answer(CHUNKED[:-3], True), 1),
        (Answer(LONG + b"Yes.", False), 1),
        (Answer(CHUNKED, False), 1),
    ],
)
def test_an_answer_that_stands_still_or_is_cut_is_wrong(answer: Answer, wrong: int) -> None:
    judge = Judge()
    judge.judge(LAST, answer)
    assert judge.wrong.total() == wrong


def test_only_where_the_connection_has_to_end_its_end_is_waited_for() -> None:
    events = b"GET /gradio_api/queue/data?session_hash=x HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert closes(LAST.parts)
    assert not closes(WHOLE.parts)
    assert not closes([events])
    assert complete(LONG, b"HEAD")


@pytest.mark.parametrize("ends", [True, False])
def test_who_hangs_up_is_told_from_who_stands_still(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.reliability.http.wire.PATIENCE", 0.1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(LONG)
        await writer.drain()
        if not ends:
            await reader.read()
        writer.close()

    async def ask() -> Answer | None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await exchange(server.sockets[0].getsockname()[1], LAST.parts)

    assert asyncio.run(ask()) == Answer(LONG, ends)


class Ended:
    """A server that wrote something, and has ended or not."""

    def __init__(self, output: str, status: int | None = None) -> None:
        self.output = output
        self.process = self
        self.poll = lambda: status


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        (Ended("Invalid HTTP request received."), 0),
        (Ended("Exception in ASGI application\n\nLocalProtocolError at\n  File"), 0),
        (Ended("Traceback (most recent call last):\n  File x\nKeyError: 7"), 1),
        (Ended(f"ignored: {CANARY}"), 1),
        (Ended("", 1), 1),
    ],
    ids=["noise", "after a refusal", "traceback", "text", "ended"],
)
def test_a_text_or_a_traceback_in_the_log_is_wrong(server: Ended, wrong: int) -> None:
    judge = Judge()
    judge.look_at_log(server)
    assert judge.wrong.total() == wrong


def test_each_request_is_another_and_holds_the_canary() -> None:
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"enum": [CANARY]}}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/One"}}}
    described = {
        "paths": {"/one/{id}": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"One": schema}},
    }
    make = Described(described, Random(7))
    made = [make() for _ in range(50)]
    assert len(set(made)) > 25
    assert sum(CANARY.encode() in one for one in made) > 25
    assert all(b" /one/" in one for one in made)


def test_a_request_is_cut_after_each_of_its_bytes() -> None:
    sent = raw.chat("moon")
    lengths = [len(one.parts[0]) for one in islice(raw.cuts(sent), len(sent))]
    assert lengths == [*range(len(sent))]
    kinds = {one.kind for one in raw.odd(sent)}
    assert kinds == {"slow", "pipelined", "oversized", "chunks", "smuggled", "malformed"}
