"""chat.web.visitors.patience: how long a body may take."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from chat.web.guard import Guard
from chat.web.visitors import patience
from chat.web.visitors.patience import LONGEST, RATE, SECONDS, Patience


class Client:
    """Sends a body in parts, each so many seconds after the one before, by a clock of its own."""

    def __init__(self, parts: Sequence[tuple[float, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        self._parts = [*parts]
        self.now = 1000.0
        self.sent: list[Message] = []
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(patience.asyncio, "timeout", self._timeout)

    def _timeout(self, seconds: float) -> Any:
        self._left = seconds
        return asyncio.Timeout(None)

    async def receive(self) -> Message:
        if not self._parts:
            return {"type": "http.disconnect"}
        seconds, size = self._parts.pop(0)
        if seconds > self._left:
            self.now += self._left
            raise TimeoutError
        self.now += seconds
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self._parts)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def post(self, app: Any, path: str = "/") -> tuple[int, dict[bytes, bytes], bytes]:
        scope = {"type": "http", "path": path, "method": "POST", "headers": []}
        await app(scope, self.receive, self.send)
        start, *rest = self.sent
        body = b"".join(message["body"] for message in rest)
        return start["status"], dict(start["headers"]), body


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """Read all, and say how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})
    await receive()  # until the client goes


ONE_MORE = round(SECONDS * RATE)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([(0, 10)], 200),
        ([(SECONDS, 10)], 200),
        ([(SECONDS + 1, 10)], 408),
        ([(SECONDS / 2, 1), (SECONDS / 2, 1), (1, 1)], 408),
        ([(1, 1)] * 100, 408),
        ([(SECONDS / 2, ONE_MORE), (SECONDS, 1)], 200),  # the more, the longer
        ([(SECONDS / 2, ONE_MORE), (2 * SECONDS, 1)], 408),
        ([(1, round(LONGEST * RATE)), (LONGEST, 1)], 408),
    ],
)
async def test_a_body_has_so_many_seconds_and_more_if_it_is_large(
    parts: list[tuple[float, int]], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, headers, body = await Client(parts, monkeypatch).post(Patience(reading))
    assert found == status
    if status == 200:
        assert body == str(sum(size for _, size in parts)).encode()
    else:
        assert headers[b"connection"] == b"close"
        assert body == b"The request took too long to arrive."


async def test_time_in_which_nobody_asks_for_more_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client([(1, 1), (1, 1)], monkeypatch)

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        client.now += 100 * SECONDS
        await reading(scope, receive, send)

    assert (await client.post(Patience(busy)))[0] == 200


@pytest.mark.parametrize(
    ("path", "type"),
    [("/v1/chat/completions", "invalid_request_error"), ("/v1/messages", "invalid_request_error")],
)
async def test_programs_are_told_in_their_shape(
    path: str, type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client([(SECONDS + 1, 1)], monkeypatch)
    status, _, body = await client.post(Patience(Guard(reading)), path)
    error = json.loads(body)["error"]
    assert (status, error["type"]) == (408, type)
    assert error["message"] == "The request took too long to arrive."
