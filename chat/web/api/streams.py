"""Streams that a client can come back to (HTML Living Standard, 9.2, "Last-Event-ID").

    Last-Event-ID: 0          with a request: this stream is to be kept
    id: <reply>.<number>      each of its events
    Last-Event-ID: <those>    at the same address: what came after this event

Only such a stream goes on without its client, and only its events have ids: others are cut off to
end the work, as editors do at each keystroke, and simple readers know nothing but `data:`.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.datastructures import Headers
from starlette.types import Scope

from chat.core.gate import Gate
from chat.core.kept import Forgotten, Kept, Replies
from chat.errors import BadRequest, ChatError
from chat.web.api.authentication import sent_keys
from chat.web.api.errors import Missing
from chat.web.api.events import Writer, separate

HEADER = "Last-Event-ID"
#: An id and a number, as they were sent.
PLACE = re.compile(r"([0-9a-f]{32})\.([0-9]{1,9})")


class NoSuchStream(Missing):
    """A stream was never kept, is forgotten, or is somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such stream here; it was not kept, or is over.", HEADER)


def last_event(scope: Scope) -> str:
    """Return what a request says of an event that it has got, or nothing."""
    return Headers(scope=scope).get(HEADER, "").strip()


class Streams:
    """The streams that are kept for so many seconds, each for its address and key."""

    def __init__(self, gate: Gate, seconds: float) -> None:
        self._replies = Replies[bytes](gate, seconds, len)
        self._seconds = seconds

    def kept(
        self, scope: Scope, writer: Writer, events: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        """Return the same events, with ids and kept if the request says so."""
        if last_event(scope) != "0" or not self._seconds:
            return events
        return self._begun(scope, writer, events)

    async def _begun(
        self, scope: Scope, writer: Writer, events: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        kept = self._replies.begin(_separated(events), _owner(scope), writer)
        async with aclosing(self.follow(kept, 0)) as numbered:
            async for event in numbered:
                yield event

    def find(self, scope: Scope) -> tuple[Kept[bytes], int]:
        """Return the stream that a request comes back to, and the number of its last event there.

        Raises:
            BadRequest: there is no such event.
            NoSuchStream: there is no such stream for this address and key.
        """
        place = PLACE.fullmatch(last_event(scope))
        if not place:
            sentence = f"{HEADER} must be the id of an event; to begin with, send 0 with a request."
            raise BadRequest(sentence, HEADER)
        try:
            kept, after = self._replies.find(place[1], _owner(scope)), int(place[2])
        except Forgotten:
            raise NoSuchStream from None
        if after > kept.last:
            raise BadRequest(f"{HEADER} names an event that this stream has not had yet.", HEADER)
        if after + 1 < kept.first:
            raise NoSuchStream
        return kept, after

    async def follow(self, kept: Kept[bytes], after: int) -> AsyncGenerator[bytes]:
        """Yield the events after one, in place of whoever has followed them so far."""
        try:
            async with aclosing(kept.follow(after, alone=True)) as items:
                async for number, event in items:
                    yield f"id: {kept.id}.{number}\n".encode() + event
        except Forgotten:
            yield kept.about.failed(ChatError("This stream was read too slowly to be kept."))
            return
        if kept.over and kept.ended:
            yield kept.about.failed(ChatError("This reply was ended, since nobody listened to it."))


async def _separated(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        async for some in events:
            for event in separate(some):
                yield event


def _owner(scope: Scope) -> tuple[str, ...]:
    return (scope["path"], *sent_keys(Headers(scope=scope)))
