"""The bridge from a worker thread to the event loop, one for each request."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

from chat.core.engine import TICK, Cached


class StreamClosed(Exception):
    """Raised in the worker: nobody wants the rest of this reply."""


class TokenStream:
    """Token ids from one worker thread to one consumer on the running event loop."""

    def __init__(self) -> None:
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._ids: deque[int] = deque()
        self._cached: Cached | None = None
        self._waiting = False
        self._ended = False
        self._error: Exception | None = None

    def put(self, *ids: int) -> None:
        """Hand ids over (worker).

        Raises:
            StreamClosed: the consumer is gone.
        """
        self.check()
        self._ids.extend(ids)
        self._notify()

    def cached(self, tokens: int) -> None:
        """Say that so many of the prompt's tokens need not be read (worker)."""
        self._cached = Cached(tokens)
        self._notify()

    def check(self) -> None:
        """Raise StreamClosed if the consumer is gone (worker)."""
        if self.closed:
            raise StreamClosed

    def end(self, error: Exception | None = None) -> None:
        """Tell the consumer that this was all, or why it was (worker)."""
        self._error = error
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        if self._loop.is_closed():  # and the consumer with it
            self.closed = True
        elif self._waiting:  # waking the event loop costs more than all the rest here
            with suppress(RuntimeError):  # it closed just now
                self._loop.call_soon_threadsafe(self._wake.set)

    async def batches(self) -> AsyncGenerator[list[int]]:
        """Yield what is ready, or an empty list after each `TICK` without any (consumer)."""
        try:
            while True:
                await self._wait()
                if (cached := self._cached) is not None:
                    self._cached = None
                    yield cached
                    continue
                ended = self._ended  # before the ids: the worker sets it after them
                ids = [self._ids.popleft() for _ in range(len(self._ids))]
                if ids or not ended:
                    yield ids
                if ended:
                    if self._error:
                        raise self._error
                    return
        finally:
            self.closed = True

    async def _wait(self) -> None:
        """Wait for something to be there, at most for one tick."""
        self._wake.clear()
        self._waiting = True  # before it looks, or it might miss what comes meanwhile
        if not (self._ids or self._ended or self._cached is not None):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
        self._waiting = False
