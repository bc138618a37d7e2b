"""From one request to its reply, for as long as its client is there."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chat.core.chat import Chat, Update
from chat.core.sampling import Sampling
from chat.errors import RequestError
from chat.web.api.body import body_of
from chat.web.api.errors import json_bytes
from chat.web.api.events import HEADERS, answered, events
from chat.web.api.ignored import told
from chat.web.api.reply import TextReply
from chat.web.api.request import read
from chat.web.api.shapes import RequestBody

#: Seconds that a client may take to read what is sent to it, before it counts as gone.
PATIENCE = 10.0


class Endpoint:
    """An ASGI app that answers requests of one shape.

    What a request leaves open is as in `sampling` and `system_prompt`; what of it is not
    known is ignored, unless this is `strict`.
    """

    def __init__(
        self,
        chat: Chat,
        sampling: Sampling,
        system_prompt: str,
        shape: type[RequestBody],
        reply: type[TextReply],
        *,
        strict: bool,
    ) -> None:
        self._chat = chat
        self._sampling = sampling.model_dump()
        self._system_prompt = system_prompt
        self._shape = shape
        self._reply = reply
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises what it cannot be answered for."""
        sent = await body_of(Request(scope, receive))

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        await _while_connected(receive, self._answer(sent, patient, scope, receive))

    async def _answer(self, sent: bytes, send: Send, scope: Scope, receive: Receive) -> None:
        # In a thread, since a long conversation would hold up everyone else's replies.
        asked = await asyncio.to_thread(read, self._shape, sent)
        if self._strict:
            asked.check_known()
        body, controls = asked.body, asked.controls
        reply = self._reply(self._chat.name, with_usage=body.with_usage)
        try:
            # In a thread too: a schema can take a while to judge.
            given = {**self._sampling, **controls.values}
            sampling = await asyncio.to_thread(Sampling.checked, **given)
            conversation = await asyncio.to_thread(body.conversation, self._system_prompt)
            async with aclosing(self._chat.reply(conversation, sampling)) as updates:
                new = _new(updates, conversation.begun, body.repeated)
                if body.stream:
                    stream = events(reply, new)
                    content = answered(await anext(stream), stream)
                    headers = {**HEADERS, **told(asked.unknown)}
                    await StreamingResponse(content, headers=headers).stream_response(send)
                    return
                async for update in new:
                    last = update
        except RequestError as error:
            names = {"message": body.written_in, **controls.names}
            error.field = names.get(error.field, error.field)
            raise
        whole = json_bytes(reply.whole(last))
        answer = Response(whole, headers=told(asked.unknown), media_type="application/json")
        await answer(scope, receive, send)


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
