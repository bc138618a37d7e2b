"""One thread that writes replies, one after another, as long as its engine lives.

It is all that there is around the writing: who waits, who has left, and what
people hear when it fails.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from chat.core.engine import State
from chat.core.sampling import Sampling
from chat.engines.stream import StreamClosed, TokenStream
from chat.engines.watchdog import LEAST, Watchdog, slowed
from chat.errors import FAILED, EngineError, OutOfMemory, describe, out_of_memory

log = logging.getLogger(__name__)

#: Takes ids as they are written; raises StreamClosed if nobody wants more.
Put = Callable[..., None]
#: Writes one reply to a prompt, away from another prompt if that has any ids.
Write = Callable[[Sequence[int], Sampling, Sequence[int], Put], None]


#: Seconds between two looks at whether a thread has ended.
PAUSE = 0.05


class _Asked(NamedTuple):
    """A reply to write."""

    stream: TokenStream
    write: Callable[[Put], None]
    #: How many tokens are to be read for it.
    tokens: int


class Worker:
    """An engine but for its model: has `write` write each reply, from `start` on (see `Engine`).

    `recover` is called after an error, when all that the reply held is let go. If memory ran
    out before a reply began, `make_room` is called first, and says whether to try once more.

    A thread cannot be killed. So one that has neither called `check` nor put anything for
    `watchdog` seconds, or for several times as long as it ever took, is left where it is, and the
    engine has failed for good; for 0 none is.
    """

    parallel = 1
    state: State = "ready"

    def __init__(
        self,
        write: Write,
        recover: Callable[[EngineError], None] = lambda _: None,
        make_room: Callable[[], bool] = lambda: False,
        watchdog: float = LEAST,
    ) -> None:
        self._writes = write
        self._recovers = recover
        self._makes_room = make_room
        self._waiting: SimpleQueue[_Asked | None] = SimpleQueue()
        self._current: TokenStream | None = None
        self._tokens = 0
        self._patience = watchdog
        self._watchdog: Watchdog | None = None
        #: Seconds that a layer takes for a token, where many take as many times as long.
        self.pace = 0.0
        self._thread = Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if self._patience:
            self._watchdog = Watchdog(self._patient, self._hung)
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
        write = partial(self._writes, prompt, sampling, negative)
        self._waiting.put(_Asked(stream, write, len(prompt) + len(negative)))
        if self.state == "failed":
            self._dismiss()
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
        while self._thread.is_alive() and self.state != "failed":
            self._thread.join(PAUSE)
        if self._watchdog:
            self._watchdog.close()

    def check(self, *_: object) -> None:
        """Raise StreamClosed if nobody wants the reply that is being written (worker)."""
        if self._current:
            self._beat()
            self._current.check()

    def cached(self, tokens: int) -> None:
        """Say that so many of the prompt's tokens need not be read (worker)."""
        if self._current:
            self._current.cached(tokens)

    def _beat(self) -> None:
        if self._watchdog:
            self._watchdog.beat()

    def _patient(self) -> float:
        """Return how many seconds may pass without a beat."""
        if self._current is None and self._waiting.empty():
            return 0.0
        return max(self._patience, slowed(self.pace * self._tokens))

    def _hung(self, seconds: float) -> None:
        log.error("The model did nothing for %.0f seconds, and is given up.", seconds)
        self.state = "failed"
        self._dismiss()

    def _dismiss(self) -> None:
        """Tell everyone that nothing comes any more."""
        if current := self._current:
            current.end(EngineError(FAILED))
        with suppress(Empty):
            while True:
                if asked := self._waiting.get_nowait():
                    asked.stream.end(EngineError(FAILED))
        self._waiting.put(None)  # for the thread, if it ever comes back

    def _work(self) -> None:
        while (asked := self._waiting.get()) is not None:
            self._answer(*asked)

    def _answer(self, stream: TokenStream, write: Callable[[Put], None], tokens: int) -> None:
        error: EngineError | None = EngineError("The model stopped working on this reply.")
        self._current, self._tokens = stream, tokens
        self._beat()
        begun = False

        def put(*ids: Any) -> None:
            nonlocal begun
            begun = True
            self._beat()
            stream.put(*ids)

        try:
            error = self._tried(stream, write, put)
            if isinstance(error, OutOfMemory) and not begun and self._makes_room():
                error = self._tried(stream, write, put)
        finally:
            try:
                if error:
                    self._recovers(error)
            finally:
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
