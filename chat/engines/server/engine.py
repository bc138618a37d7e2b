"""An engine that is somewhere else: token ids go to a server, and token ids come back.

What breaks on the way, a connection, a replica or a machine, ends no reply: the rest is asked for
again, of whoever is there (see `resume`).
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

from chat.core.engine import TICK, Queued, State, until_stop
from chat.core.sampling import Sampling
from chat.engines.resume import Begun, going_on
from chat.engines.server.connection import Connection
from chat.engines.server.dialect import Asked, Dialect, Said
from chat.engines.server.health import Health
from chat.engines.server.probe import Same
from chat.engines.server.refusals import Later
from chat.engines.stream import StreamClosed, TokenStream
from chat.errors import FAILED, Broken, ChatError, EngineError, QueueFull, describe

#: Seconds before something that broke is asked for again: at first, and at the most.
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
#: Seconds in which a place in line has to be found, and in which somebody has to be there.
LINE, ABSENCE = 60.0, 30.0
#: Seconds between two tries, where nobody says how long to wait.
RETRY = 1.0

NONE: Mapping[str, str] = MappingProxyType({})
FULL = "The queue is full: too many people are being answered or waiting. Please try again later."
ABSENT = "The model's server cannot be reached. Please try again later."
OTHER = (
    "The model's server runs another model than when this app was started; whoever runs the app "
    "has to start it again."
)

log = logging.getLogger(__name__)


class ServerEngine:
    """The model called `model` at a server that speaks `dialect` (see `Engine`).

    `adapters` are its adapters by the names that requests have for them; `same` tells whether it
    still is that server, since no other may get our tokens. Greedy replies go on
    after a break as they would have, but for the server's rounding; drawn ones as likely ones.
    Those that have to fit something, or count what they have for a penalty, go on before their
    first token alone.
    """

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        model: str,
        stop_ids: Iterable[int],
        window: int,
        parallel: int,
        same: Same,
        adapters: Mapping[str, str] = NONE,
    ) -> None:
        self.parallel = parallel
        self.window = window
        self.supports = dialect.supports
        self.stop_ids = frozenset(stop_ids)
        self._connection = connection
        self._dialect = dialect
        self._model = model
        self._adapters = adapters
        self._health = Health(same)
        self._closed = False

    @property
    def state(self) -> State:
        """See `Engine.state`."""
        return "failed" if self._closed else self._health.state

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`."""
        self._dialect.check(sampling)

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`.

        Raises:
            QueueFull: the server found no place for it, for a minute.
            TooLong: the server takes less than it said.
            EngineError: it cannot be had from any server.
        """
        self._dialect.check(sampling)

        def ask(begun: Begun) -> AsyncGenerator[list[int]]:
            return self._attempt(begun, prompt, sampling, negative, session)

        return going_on(ask, sampling, self.stop_ids)

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        self._health.close()
        self._connection.close()

    async def _attempt(
        self,
        begun: Begun,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int],
        session: str,
    ) -> AsyncGenerator[list[int]]:
        """Give what follows what has begun, until it is whole; see `going_on`."""
        if begun.endings:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (begun.endings - 1))
            async with aclosing(_ticks(wait * random.uniform(0.5, 1))) as ticks:
                async for nothing in ticks:
                    yield nothing
        model = self._adapters.get(sampling.adapter, self._model)
        for part in self._dialect.parts(begun.rest(sampling)):
            if not part.max_new_tokens:
                continue
            asked = Asked(
                model,
                [*prompt, *begun.ids],
                part,
                self.stop_ids,
                [*negative, *begun.ids] if negative else (),
            )
            left = part.max_new_tokens
            answers = self._in_line(asked, session, begun.endings)
            async with aclosing(answers) as batches:
                async for ids in batches:
                    if ids:
                        ids = until_stop(ids[:left], self.stop_ids)
                    left -= len(ids)
                    yield ids
                    if ids and ids[-1] in self.stop_ids:
                        return
                    if not left:
                        break

    async def _in_line(self, asked: Asked, session: str, attempt: int) -> AsyncGenerator[list[int]]:
        """Give the ids of an answer; where nobody takes the request, wait, and ask again."""
        begins, heard = dict[bool, float](), False
        while True:
            try:
                name = self._connection.name(session, attempt)
                async with aclosing(self._answer(asked, name)) as batches:
                    async for ids in batches:
                        heard = heard or bool(ids)
                        yield ids
                return
            except Later as later:
                if heard:
                    raise Broken from None
                wait = max(FIRST_WAIT, RETRY if later.seconds is None else later.seconds)
                full, silent = later.full, later.silent
            # Until then it may have stood in a server's line for long, and been told so.
            begin = begins.setdefault(full, time.monotonic())
            if time.monotonic() - begin + wait > (LINE if full else ABSENCE):
                raise QueueFull(FULL) if full else EngineError(ABSENT)
            attempt += silent or not full
            async with aclosing(_ticks(wait)) as ticks:
                async for nothing in ticks:
                    yield Queued() if full else nothing

    async def _answer(self, asked: Asked, name: str) -> AsyncGenerator[list[int]]:
        """Give the ids of one answer as they come, and [] where none do; closing it hangs up."""
        self._check()
        stream = TokenStream()
        read, write = self._dialect.reader(asked.sampling), self._dialect.body
        # A schema may take seconds to be put together.
        body = await asyncio.to_thread(write, asked) if asked.sampling.tied else write(asked)
        reading = asyncio.create_task(self._read(read, body, name, stream))
        try:
            async with aclosing(stream.batches()) as batches:
                async for ids in batches:
                    self._check()
                    yield ids
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    def _check(self) -> None:
        """Raise EngineError if nothing that comes may be given on."""
        if self._closed or self._health.other:
            raise EngineError(FAILED if self._closed else OTHER)

    async def _read(
        self,
        read: Callable[[Mapping[str, Any]], Said],
        body: Mapping[str, Any],
        name: str,
        stream: TokenStream,
    ) -> None:
        """Read an answer into `stream`, as fast as it comes."""
        error: Exception | None = Broken()
        known = False  # how much of the prompt was in its cache
        try:
            async with aclosing(self._connection.events(self._dialect.path, body, name)) as events:
                async for event in events:
                    said = read(event)
                    if said.cached is not None and not known:
                        stream.cached(said.cached)
                        known = True
                    if said.ids:
                        stream.put(*said.ids)
                    if said.ended:
                        error = None
                        break
        except StreamClosed:
            return
        except (KeyError, TypeError, ValueError, AttributeError):
            log.error("The model's server gave an event in which there is no sense.")
        except (ChatError, Later) as failed:
            error = failed
        except Exception as failed:
            log.error("%s", describe(failed))
            error = EngineError(FAILED)
        if isinstance(error, Broken):
            log.warning("The model's server broke off a reply.")
        if isinstance(error, Broken) or (
            isinstance(error, Later) and (error.silent or not error.full)
        ):
            self._health.doubt()
        stream.end(error)


async def _ticks(seconds: float) -> AsyncGenerator[list[int]]:
    """Wait, and say now and then that there is nothing yet."""
    while seconds > 0:
        yield []
        await asyncio.sleep(min(seconds, TICK))
        seconds -= TICK
