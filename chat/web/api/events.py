"""Replies as they grow, as server-sent events (HTML Living Standard, 9.2)."""

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from chat.core import status
from chat.core.chat import Update
from chat.web.api.errors import json_bytes

#: Headers of a stream. The last is for nginx, which else shows it once it has ended.
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}

#: Seconds of silence after which a comment says that the connection is not dead. Simple
#: readers take a comment for an event that they cannot read, so there are no others.
PING = 10.0


class Writer(Protocol):
    """Writes what answers one request, in the shapes of one API.

    There may be several replies to it, which are told apart by their place, from 0.
    """

    def whole(self, updates: Sequence[Update]) -> dict[str, Any]:
        """Return the replies, of which these were the last updates."""
        ...

    def begin(self) -> Iterable[bytes]:
        """Return the events before anything is said."""
        ...

    def more(self, place: int, update: Update) -> Iterable[bytes]:
        """Return the events for what is new of a reply, and for its end if that is it."""
        ...

    def end(self, updates: Sequence[Update]) -> Iterable[bytes]:
        """Return the events after all replies."""
        ...

    def failed(self, error: Exception) -> bytes:
        """Return the event for an error after the first event."""
        ...


async def events(
    writer: Writer, updates: AsyncGenerator[tuple[int, Update]]
) -> AsyncGenerator[bytes]:
    """Yield the events of a stream, several at once where they come together.

    What refuses the request is raised before the first; later an error is an event.
    """
    last: dict[int, Update] = {}
    spoke = time.monotonic()
    begun = False
    try:
        async with aclosing(updates):
            async for place, update in updates:
                new = b"".join([*([] if last else writer.begin()), *writer.more(place, update)])
                last[place] = update
                if not new and time.monotonic() - spoke >= PING:
                    new = f": {status.line(update)}\n\n".encode()
                if new:
                    begun = True
                    yield new
                    spoke = time.monotonic()
        yield b"".join(writer.end([last[place] for place in sorted(last)]))
    except Exception as error:
        if not begun:
            raise
        yield writer.failed(error)


def separate(events: bytes) -> list[bytes]:
    """Return the events in what `events` yields, one by one."""
    return [one + b"\n\n" for one in events.split(b"\n\n")[:-1]]


def event(data: Any, name: str = "") -> bytes:
    """Return an event: its data as JSON, unless it is written already, and perhaps its name."""
    written = data if isinstance(data, bytes) else json_bytes(data)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + written + b"\n\n"
