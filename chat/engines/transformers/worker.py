"""One thread that writes replies, one after another, as long as its engine lives.

It is all that there is around the writing: who waits, who has left, and what
people hear when it fails.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from chat.core.engine import State
from chat.core.sampling import Sampling
from chat.engines.stream import StreamClosed, TokenStream
from chat.errors import FAILED, EngineError, OutOfMemory, describe, out_of_memory

log = logging.getLogger(__name__)

#: Takes ids as they are written; raises StreamClosed if nobody wants more.
Put = Callable[..., None]
#: Writes one reply to a prompt, away from another prompt if that has any ids.
Write = Callable[[Sequence[int], Sampling, Sequence[int], Put], None]


class Worker:
    """An engine but for its model: has `write` write each reply, from `start` on (see `Engine`).

    `recover` is called after an error, when all that the reply held is let go. If memory ran
    out before a reply began, `make_room` is called first, and says whether to try once more.
    """

    parallel = 1
    state: State = "ready"

    def __init__(
        self,
        write: Write,
        recover: Callable[[EngineError], None] = lambda _: None,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._writes = write
        self._recovers = recover
        self._makes_room = make_room
        self._waiting: SimpleQueue[tuple[TokenStream, Callable[[Put], None]] | None] = SimpleQueue()
        self._current: TokenStream | None = None
        self._thread = Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a reply is being written."""
        return self._current is not None

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`; llguidance compiles as it goes, a few milliseconds a token."""

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        stream = TokenStream()
        self._waiting.put((stream, partial(self._writes, prompt, sampling, negative)))
        try:
            async for ids in stream.batches():
                yield ids
        finally:
            stream.closed = True

    def close(self) -> None:
        """See `Engine.close`."""
        if current := self._current:
            current.closed = True
        self._waiting.put(None)
        self._thread.join()

    def check(self, *_: object) -> None:
        """Raise StreamClosed if nobody wants the reply that is being written (worker)."""
        if self._current:
            self._current.check()

    def _work(self) -> None:
        while (following := self._waiting.get()) is not None:
            self._answer(*following)

    def _answer(self, stream: TokenStream, write: Callable[[Put], None]) -> None:
        error: EngineError | None = EngineError("The model stopped working on this reply.")
        self._current = stream
        begun = False

        def put(*ids: Any) -> None:
            nonlocal begun
            begun = True
            stream.put(*ids)

        try:
            error = self._tried(stream, write, put)
            if isinstance(error, OutOfMemory) and not begun and self._makes_room():
                error = self._tried(stream, write, put)
        finally:
            if error:
                self._recovers(error)
            self._current = None
            stream.end(error)

    def _tried(
        self, stream: TokenStream, write: Callable[[Put], None], put: Put
    ) -> EngineError | None:
        """Write a reply; return what is wrong with it, when nothing holds its memory any more."""
        try:
            stream.check()
            write(put)
        except StreamClosed:
            pass
        except Exception as caught:
            return readable(caught)
        return None


def readable(caught: Exception) -> EngineError:
    """Return the error that people see instead of `caught`, which goes to the log."""
    if isinstance(caught, EngineError):
        return caught
    if out_of_memory(caught):
        return OutOfMemory(
            "The model ran out of memory. A shorter conversation or fewer new tokens may fit."
        )
    log.error("While generating: %s", describe(caught))
    return EngineError(FAILED)
