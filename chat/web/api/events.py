"""A reply as it grows, as server-sent events (HTML Living Standard, 9.2)."""

import time
from collections.abc import AsyncGenerator
from typing import Any

from chat.core import status
from chat.core.chat import Update
from chat.web.api.errors import json_bytes, refusal
from chat.web.api.reply import TextReply

#: Headers of a stream. The last is for nginx, which else shows it once it has ended.
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}

#: Seconds of silence after which a comment says that the connection is not dead. Simple
#: readers take a comment for an event that they cannot read, so there are no others.
PING = 10.0


async def events(reply: TextReply, updates: AsyncGenerator[Update]) -> AsyncGenerator[bytes]:
    """Yield the events of a stream; what refuses the request is raised before the first."""
    sent, spoke = None, 0.0
    async for update in updates:
        if sent is None:
            yield _event(reply.chunk(reply.first))
            sent, spoke = "", time.monotonic()
        if new := update.text[len(sent) :]:
            yield _event(reply.chunk(reply.more(new)))
            sent, spoke = update.text, time.monotonic()
        elif time.monotonic() - spoke >= PING:
            yield f": {status.line(update)}\n\n".encode()
            spoke = time.monotonic()
    yield _event(reply.end(update))
    if reply.with_usage:
        yield _event(reply.usage(update))
    yield b"data: [DONE]\n\n"


async def answered(first: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the events of a stream whose status is sent, so that an error is an event too."""
    yield first
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield b"data: " + bytes(refusal(error).body) + b"\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json_bytes(value) + b"\n\n"
