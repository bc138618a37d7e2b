"""What must not come of any request is noticed where it does."""

from itertools import islice
from random import Random

import pytest

from benchmarks.reliability.http import raw
from benchmarks.reliability.http.described import CANARY, Described
from benchmarks.reliability.http.raw import Raw
from benchmarks.reliability.http.step import Judge
from chat.errors import UNEXPECTED

OK = b"HTTP/1.1 200 OK\r\n\r\nYes."
WHOLE, CUT = Raw("", [b"GET / HTTP/1.1\r\n\r\n"]), Raw("cut", [b"GE"], whole=False)
REFUSED = b'HTTP/1.1 400 Bad Request\r\n\r\n{"error":"It is too long.","duration":10}'


@pytest.mark.parametrize(("sent", "answer"), [(WHOLE, OK), (CUT, b""), (CUT, OK), (WHOLE, REFUSED)])
def test_nothing_is_wrong_with_an_answer_or_an_end(sent: Raw, answer: bytes) -> None:
    judge = Judge()
    judge.judge(sent, answer)
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
    judge.judge(sent, answer)
    assert judge.wrong.total() > 0


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
