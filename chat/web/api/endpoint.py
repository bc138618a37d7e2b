"""From one request to its reply, for as long as its client is there."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chat.core.chat import Chat, Update
from chat.core.sampling import Sampling
from chat.errors import RequestError
from chat.web.api.errors import json_bytes
from chat.web.api.events import HEADERS, answered, events
from chat.web.api.reply import TextReply
from chat.web.api.request import read
from chat.web.api.shapes import RequestBody

#: Seconds that a client may take to read what is sent to it, before it counts as gone.
PATIENCE = 10.0


class Endpoint:
    """An ASGI app that answers requests of one shape.

    What a request leaves open is as in `sampling` and `system_prompt`.
    """

    def __init__(
        self,
        chat: Chat,
        sampling: Sampling,
        system_prompt: str,
        shape: type[RequestBody],
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
        # In a thread, since a long conversation would hold up everyone else's replies.
        asked, controls = await asyncio.to_thread(read, self._shape, body)
        reply = self._reply(self._chat.name, with_usage=asked.with_usage)
        try:
            # In a thread too: a schema can take a while to judge.
            given = {**self._sampling, **controls.values}
            sampling = await asyncio.to_thread(Sampling.checked, **given)
            conversation = await asyncio.to_thread(asked.conversation, self._system_prompt)
            async with aclosing(self._chat.reply(conversation, sampling)) as updates:
                new = _new(updates, conversation.begun, asked.repeated)
                if asked.stream:
                    stream = events(reply, new)
                    content = answered(await anext(stream), stream)
                    await StreamingResponse(content, headers=HEADERS).stream_response(send)
                    return
                async for update in new:
                    last = update
        except RequestError as error:
            names = {"message": asked.written_in, **controls.names}
            error.field = names.get(error.field, error.field)
            raise
        whole = json_bytes(reply.whole(last))
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


async def _new(
    updates: AsyncGenerator[Update], begun: str, repeated: str
) -> AsyncGenerator[Update]:
    """Yield the updates without what the reply began with, and after what is to be repeated."""
    there: str | None = None
    space = begun[len(begun.rstrip()) :]
    async for update in updates:
        if there is None and update.state != "waiting":
            there = update.text
            # White space at an end is not shown, and comes with the next word.
            space = "" if there.endswith(space) else space
        new = update.text[len(there or "") :].removeprefix(space)
        yield replace(update, text=repeated + new)
