"""`POST /v1/completions`: from one request to its ids, for as long as its client is there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chat.backend.body import Ask, asked, blaming, left_open, most_bytes
from chat.backend.events import DONE, HEARTBEAT, Events, failed
from chat.core.chat import Chat, interval
from chat.core.engine import Cached, until_stop
from chat.core.shares import asking
from chat.engines.server.refusals import ENDED
from chat.errors import RequestError
from chat.settings import Settings
from chat.web import health
from chat.web.api.asgi import patient, while_connected
from chat.web.api.body import body_of
from chat.web.api.events import HEADERS


class Ended(HTTPException):
    """The engine has ended under a request, which may be why; a `code` tells it from others."""

    code = ENDED

    def __init__(self) -> None:
        super().__init__(503, "The model has failed just now.", health.RETRY)


class Batch(NamedTuple):
    """What is new of a reply."""

    ids: list[int]
    #: Why it ended, of the last one.
    reason: str | None = None
    #: How much of the prompt lay in the prefix cache, in the one that says so.
    cached: int | None = None


class Completions:
    """An ASGI app that answers requests for what follows some ids."""

    def __init__(self, chat: Chat, settings: Settings) -> None:
        self._chat = chat
        self._left_open = left_open(settings, chat.suited)
        self._most_bytes = most_bytes(chat.engine.window)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises what it cannot be answered for."""
        sent = await body_of(Request(scope, receive), self._most_bytes)
        await while_connected(receive, self._answer(sent, patient(send), scope, receive))

    async def _answer(self, sent: bytes, send: Send, scope: Scope, receive: Receive) -> None:
        # In a thread, since a long prompt would hold up everyone else's replies.
        ask = await asyncio.to_thread(asked, self._chat, self._left_open, sent)
        self._check_engine()
        session = Request(scope).headers.get("x-session-id", "")
        events = Events(ask)
        async with aclosing(batches(self._chat, ask, session)) as found:
            try:
                first = await anext(found)
                if not ask.stream:
                    all_found = [first, *[batch async for batch in found]]
            except RequestError:
                raise
            except Exception:
                if self._chat.engine.state != "ready":  # who asks again is answered elsewhere
                    raise Ended from None
                raise
            if ask.stream:
                content = self._streamed(events, first, found)
                async with aclosing(content):
                    await StreamingResponse(content, headers=HEADERS).stream_response(send)
                return
        ids = [id for batch in all_found for id in batch.ids]
        whole = events.whole(ask.prompt, ids, all_found[-1].reason or "stop")
        await Response(whole, media_type="application/json")(scope, receive, send)

    async def _streamed(
        self, events: Events, first: Batch, found: AsyncGenerator[Batch]
    ) -> AsyncGenerator[bytes]:
        """Yield the events of a stream, whose status is sent, so that an error is one too."""
        yield _event(events, first)
        try:
            async for batch in found:
                yield _event(events, batch)
        except Exception as error:
            if self._chat.engine.state != "ready":
                raise ClientDisconnect from None  # a stream that breaks off, to go on elsewhere
            yield failed(error)
            return
        yield DONE

    def _check_engine(self) -> None:
        """Raise HTTPException if the engine cannot answer now: no request waits until it can."""
        if self._chat.engine.state != "ready":
            raise HTTPException(503, "The model is not there at the moment.", health.RETRY)


async def batches(chat: Chat, ask: Ask, session: str) -> AsyncGenerator[Batch]:
    """Yield the ids of a reply as they come, an empty batch now and then while there are none.

    Raises:
        BadRequest: what ties it down would keep others waiting.
        QueueFull: no place is left.
        RateLimited: whoever asks has asked for too much.
        EngineError: the model failed.
    """
    written, last = 0, list[int]()
    place = chat.shares.place(asking.get())
    with chat.meter.reply() as measured, place as measured.share, chat.gate.coming():
        chat.gate.check()
        with blaming():
            await chat.engine.admit(ask.sampling)
        with chat.gate.enter(measured.share) as ticket:
            while ticket.place:
                yield Batch([])
                await ticket.wait()
            measured.begin(len(ask.prompt))
            generated = chat.engine.generate(ask.prompt, ask.sampling, ask.negative, session)
            async with aclosing(generated) as new:
                async for ids in new:
                    last = until_stop(ids, ask.stop_ids)
                    measured.wrote(len(last))
                    written += len(last)
                    if _ended(last, ask) or written >= ask.sampling.max_new_tokens:
                        break
                    yield Batch(last, cached=ids.tokens if isinstance(ids, Cached) else None)
                    last = []
                    if ids:
                        await asyncio.sleep(interval(chat.gate.inside))
        full = written >= ask.sampling.max_new_tokens and not _ended(last, ask)
        measured.ending = "length" if full else "stop"
    # Only now, when the next one in line is in: whoever this is for may be slow to read it.
    yield Batch(last, measured.ending)


def _ended(ids: list[int], ask: Ask) -> bool:
    return bool(ids) and ids[-1] in ask.stop_ids


def _event(events: Events, batch: Batch) -> bytes:
    if batch.cached is not None:
        return events.cached(batch.cached)
    return events.more(batch.ids, batch.reason) if batch.ids or batch.reason else HEARTBEAT
