"""From one request to its reply, for as long as its client is there."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chat import status
from chat.api.errors import json_bytes, refusal
from chat.api.reply import TextReply
from chat.api.request import Asked, read
from chat.callback import Chat, Update
from chat.errors import RequestError
from chat.sampling import Sampling

#: Seconds that a client may take to read what is sent to it, before it counts as gone.
PATIENCE = 10.0

STREAM = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # else nginx would show it once it has ended
}


class Door:
    """An ASGI app that answers requests of one shape.

    What a request leaves open is as in `sampling` and `system_prompt`.
    """

    def __init__(
        self,
        chat: Chat,
        sampling: Sampling,
        system_prompt: str,
        shape: type[Asked],
        reply: type[TextReply],
    ) -> None:
        self._chat = chat
        self._sampling = sampling.model_dump()
        self._system_prompt = system_prompt
        self._shape = shape
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises what it cannot be answered for."""
        request = Request(scope, receive)
        kind = request.headers.get("content-type", "").partition(";")[0]
        # Others are what a page of any site can send to a server on its visitor's machine.
        if kind.strip().lower() != "application/json":
            raise HTTPException(415, "Please send JSON, with Content-Type: application/json.")
        body = await request.body()

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        await _while_connected(receive, self._answer(body, patient, scope, receive))

    async def _answer(self, body: bytes, send: Send, scope: Scope, receive: Receive) -> None:
        asked, controls = read(self._shape, body)
        reply = self._reply(self._chat.name, with_usage=asked.with_usage)
        try:
            sampling = Sampling.checked(**{**self._sampling, **controls.values})
            conversation = asked.conversation(self._system_prompt)
            async with aclosing(self._chat.reply(**conversation, sampling=sampling)) as updates:
                if asked.stream:
                    events = _events(asked, reply, updates)
                    begun = _begun(await anext(events), events)
                    await StreamingResponse(begun, headers=STREAM).stream_response(send)
                    return
                async for update in updates:
                    last = update
        except RequestError as error:
            names = {"message": asked.written_in, "system_prompt": asked.written_in}
            error.field = (names | controls.names).get(error.field, error.field)
            raise
        whole = json_bytes(reply.whole(asked.shown(last.text), last))
        await Response(whole, media_type="application/json")(scope, receive, send)


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, but no longer than the client stays."""

    async def hang_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.create_task(work), asyncio.create_task(hang_up())
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait((working, watching))
    if not working.cancelled():
        working.result()


async def _events(
    asked: Asked, reply: TextReply, updates: AsyncGenerator[Update]
) -> AsyncGenerator[bytes]:
    """Yield the events of a stream; what refuses a request is raised before the first."""
    sent = ""
    begun = False
    async for update in updates:
        if not begun:
            yield _event(reply.chunk(reply.first))
            begun = True
        text = asked.shown(update.text)
        if len(text) > len(sent):
            yield _event(reply.chunk(reply.more(text[len(sent) :])))
            sent = text
        else:  # a comment, so that no proxy takes the connection for dead
            yield f": {status.line(update)}\n\n".encode()
    yield _event(reply.end(update))
    if asked.with_usage:
        yield _event(reply.usage(update))
    yield b"data: [DONE]\n\n"


async def _begun(first: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the events of a stream whose status is sent, so that an error is an event too."""
    yield first
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield b"data: " + bytes(refusal(error).body) + b"\n\n"


def _event(value: dict[str, Any]) -> bytes:
    """Return a server-sent event (HTML Living Standard, 9.2)."""
    return b"data: " + json_bytes(value) + b"\n\n"
