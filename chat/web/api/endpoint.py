"""From one request to its reply, for as long as its client is there."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chat.core.chat import Chat, Update
from chat.core.sampling import Sampling
from chat.core.shares import asking
from chat.errors import BadRequest, RequestError, TooLong
from chat.web.api.asgi import patient, while_connected
from chat.web.api.body import body_of
from chat.web.api.errors import json_answer
from chat.web.api.events import HEADERS, Writer, events
from chat.web.api.ignored import told
from chat.web.api.merging import merged
from chat.web.api.models import adapter_of, with_adapter
from chat.web.api.prompting import HOLDING, prompted, with_name_chosen, with_options
from chat.web.api.request import Asked, asked
from chat.web.api.shapes import MOST_REPLIES, Ask, RequestBody
from chat.web.api.streams import Streams, last_event
from prompts import Tooled
from prompts.formats.given import Given


class Endpoint:
    """An ASGI app that answers requests of one shape.

    What a request leaves open is as in `sampling` and `system_prompt`; what of it is not
    known is ignored, unless this is `strict`. One that names an event of a stream that is
    kept asks for what follows it.
    """

    def __init__(
        self,
        chat: Chat,
        sampling: Sampling,
        system_prompt: str,
        shape: type[RequestBody],
        writer: Callable[[Any, Chat, int], Writer],
        streams: Streams,
        *,
        strict: bool,
    ) -> None:
        self._chat = chat
        self._sampling = sampling.model_dump()
        self._system_prompt = system_prompt
        self._shape = shape
        self._writer = writer
        self._streams = streams
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises what it cannot be answered for."""
        request = Request(scope, receive)
        if last_event(scope) not in ("", "0"):  # what follows that event, and nothing anew
            await while_connected(receive, self._go_on(patient(send), scope, receive))
            return
        sent = await body_of(request)
        await while_connected(receive, self._answer(sent, patient(send), scope, receive))

    async def _go_on(self, send: Send, scope: Scope, receive: Receive) -> None:
        kept, after = self._streams.find(scope)
        if kept.over and after == kept.last and not kept.ended:
            await Response(status_code=204)(scope, receive, send)  # do not come back, it says
            return
        async with aclosing(self._streams.follow(kept, after)) as stream:
            await StreamingResponse(stream, headers=HEADERS).stream_response(send)

    async def _read(self, sent: bytes) -> Asked[RequestBody]:
        return await asked(self._shape, sent, strict=self._strict)

    async def _answer(self, sent: bytes, send: Send, scope: Scope, receive: Receive) -> None:
        read = await self._read(sent)
        body, controls = read.body, read.controls
        if adapter := adapter_of(self._chat, body.model):
            controls.add("adapter", "model", adapter)
        names = {"message": body.written_in, **controls.names}
        try:
            # In threads too: a schema can take a while to judge.
            thinks = self._chat.format.thoughts is not None
            own = {**self._sampling, **controls.fitting(thinks=thinks)}
            chat, given = await asyncio.to_thread(
                lambda: prompted(self._chat, body.offer, own, has_calls=body.has_calls)
            )
            if any(given.get(name) != own.get(name) for name in HOLDING):
                names |= dict.fromkeys(HOLDING, "tools")  # it is held to their schemas
            chat = await asyncio.to_thread(with_options, chat, controls.options)
            asks = await asyncio.to_thread(
                body.asks, self._system_prompt, tooled=isinstance(chat.format, Tooled)
            )
            chat, given = await with_name_chosen(chat, asks[0].conversation, given)
            sampling = await asyncio.to_thread(Sampling.checked, **given)
            _check(asks, body.replies, sampling, chat)
            shown = body.shows_thought(controls.values)
            replies = [
                _reply(chat, ask, sampling.numbered(number), shown=shown)
                for ask in asks
                for number in range(body.replies)
            ]
            if len(replies) > 1:  # before the first of them has begun
                self._chat.check_room(len(replies))
            answering = self._chat.called(with_adapter(chat.name, sampling.adapter))
            writer = self._writer(body, answering, len(replies))
            updates = merged(replies)
            if body.stream:
                made = self._streams.kept(scope, writer, events(writer, updates))
                async with aclosing(made) as stream:
                    content = _together(await anext(stream), stream)
                    headers = {**HEADERS, **told(read.unknown)}
                    await StreamingResponse(content, headers=headers).stream_response(send)
                return
            async with aclosing(updates):
                last = {place: update async for place, update in updates}
        except RequestError as error:
            error.field = names.get(error.field, error.field)
            raise
        whole = writer.whole([last[place] for place in range(len(replies))])
        await json_answer(whole, told(read.unknown))(scope, receive, send)


async def _together(first: bytes, others: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for event in others:
        yield event


def _check(asks: Sequence[Ask], n: int, sampling: Sampling, chat: Chat) -> None:
    """Raise RequestError for too many replies, and for what a text cannot be asked for."""
    # Each takes a place, and where there are never as many it is no use to ask again.
    most = min([MOST_REPLIES, *(one.limits.places for one in asking.get() if one.limits.places)])
    if len(asks) * n > most:
        raise BadRequest(f"n and prompt ask for {len(asks) * n} replies; the limit is {most}.", "n")
    tokens, window = chat.tokens, chat.engine.window
    for ask in asks:
        if len(ask.ids) > window:
            raise TooLong(f"prompt has {len(ask.ids):,} tokens; the limit is {window:,}.", "prompt")
        if ask.echo and sampling.logprobs:
            raise BadRequest("logprobs are of what is written; send no echo.", "logprobs")
        if unknown := next((id for id in ask.ids if not tokens.knows(id)), None):
            raise BadRequest(f"prompt has {unknown}, which is no token of this model.", "prompt")


async def _reply(
    chat: Chat, ask: Ask, sampling: Sampling, *, shown: bool
) -> AsyncGenerator[Update]:
    """Yield the updates without what the reply began with, and after what is to be repeated.

    And without the thought unless that is to be `shown`.
    """
    asked, begun = ask.conversation.messages[-1].content, ask.conversation.begun
    if ask.ids:
        chat = chat.prompting(Given(ask.ids))
        asked = chat.tokens.show(ask.ids) if ask.echo else ""
    text, thought = _Rest(begun.content), _Rest(begun.thought)
    async with aclosing(chat.reply(ask.conversation, sampling)) as updates:
        async for update in updates:
            if ask.whole and update.dropped_turns:
                raise TooLong("Your conversation does not fit the model's window.")
            if update.state == "waiting":
                yield update
                continue
            said, thinking = text.of(update.text), thought.of(update.thought)
            said = (asked if ask.echo else "") + said
            yield replace(update, text=said, thought=thinking if shown else "")


class _Rest:
    """Takes from a text that grows what was there of it at first."""

    def __init__(self, begun: str) -> None:
        self._there: str | None = None
        self._space = begun[len(begun.rstrip()) :]

    def of(self, text: str) -> str:
        """Return the rest of the text, the whole so far."""
        if self._there is None:
            self._there = text
            # White space at an end is not shown, and comes with the next word.
            self._space = "" if text.endswith(self._space) else self._space
        return text[len(self._there) :].removeprefix(self._space)
