"""A process that answers many requests at once: the server's side (see `process`).

Beside the server it leaves the event loop its interpreter lock, and what kills it, such as a
GPU that is lost, is a restart and not the end.
"""

import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol, Self

from chat import child
from chat.core.engine import Scored, State
from chat.engines.process import Part
from chat.engines.resume import Begun
from chat.engines.stream import StreamClosed, TokenStream
from chat.errors import FAILED, Broken, EngineError, ModelError

#: How many processes may end under one request until it can be the cause.
ENDINGS = 2

log = logging.getLogger(__name__)


class Job(Protocol):
    """A request, as the process takes it: a named tuple."""

    @property
    def number(self) -> int:
        """By which it is cancelled, and its parts are known."""
        ...

    def _replace(self, *, number: int) -> Self: ...


class _Asked(NamedTuple):
    """A request that has not ended."""

    job: Job
    stream: TokenStream
    begun: Begun


class Remote:
    """Runs `module` in a process of its own, has it load `plan`, and asks it.

    Where a process ends, another one is started, and its requests break: they can be asked again
    (see `resume`). What ends one process after another has to be among those that were there each
    time; so then the one of them that came last is given up. `title` is what does the work, for
    sentences.

    Raises:
        ModelError: it cannot load it.
    """

    def __init__(self, module: str, plan: Any, title: str) -> None:
        self._module = module
        self._plan = plan
        self._title = title
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}
        self._sending = threading.Lock()
        self._closed = False
        self._connection: Connection
        self.state: State = "loading"
        #: What the process said of itself.
        self.ready: Any = None
        self._start()
        self._thread = threading.Thread(target=self._listen, name="engine", daemon=True)
        self._thread.start()

    async def ask(self, job: Job, begun: Begun) -> AsyncGenerator[list[int]]:
        """Give the ids of the reply to `job`, which has `begun`, as they come.

        Raises:
            Broken: the process ended.
            EngineError: it failed, or ends one process after another.
        """
        number, stream = next(self._numbers), TokenStream()
        asked = _Asked(job._replace(number=number), stream, begun)
        with self._sending:
            if self._closed:
                raise EngineError(FAILED)
            self._asked[number] = asked
            if self.state == "ready":  # else it is sent when there is a process again
                self._send(asked.job)
        try:
            async for ids in stream.batches():
                yield ids
        finally:
            with self._sending:
                if self._asked.pop(number, None):
                    self._send(number)

    def close(self) -> None:
        """Give back all that it took; nothing can be asked afterwards."""
        self._closed = True
        self._process.kill()
        self._thread.join()
        self._process.wait()

    def _start(self) -> None:
        """Start the process, and wait until it is ready."""
        ours, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            self._process = child.start(self._module, fd, pass_fds=[fd])
        if self._closed:  # just now, when there was the one before
            self._process.kill()
        try:
            ours.send(self._plan)
            answer = ours.recv()
        except (EOFError, OSError):
            answer = ModelError(
                f"{self._title} cannot run this model: its process ended while it was loading it."
            )
        except KeyboardInterrupt:
            self._process.kill()  # it would load to the end before it looked
            raise
        if isinstance(answer, ModelError):
            self._process.wait()
            raise answer
        with self._sending:
            self._connection = ours
            self.ready = answer
            self.state = "ready"
            for asked in self._asked.values():
                self._send(asked.job)

    def _send(self, message: Any) -> None:
        """Send it; where the process has ended, `_listen` finds that out."""
        with suppress(OSError):
            self._connection.send(message)

    def _listen(self) -> None:
        """Hand on what the process sends; if it ends, start another; at the end tell everyone."""
        while not self._closed:
            try:
                for part in self._connection.recv():
                    self._hand_on(part)
            except (EOFError, OSError):
                if not self._closed:
                    self._restart()
        self._connection.close()
        with self._sending:
            while self._asked:
                _, asked = self._asked.popitem()
                asked.stream.end(EngineError(FAILED))

    def _restart(self) -> None:
        with self._sending:
            self.state = "loading"
            self._connection.close()
            all_asked = [self._asked.pop(number) for number in list(self._asked)]
            suspects = [one.begun for one in all_asked if one.begun.endings + 1 >= ENDINGS]
            newest = max(suspects, key=lambda begun: begun.number, default=None)
            for asked in all_asked:
                asked.stream.end(EngineError(FAILED) if asked.begun is newest else Broken())
        log.error("The engine's process ended (%s).", self._process.wait())
        try:
            self._start()
        except (ModelError, OSError) as error:
            if not self._closed:
                log.error("%s", error)
            self.state = "failed"
            self._closed = True

    def _hand_on(self, part: Part) -> None:
        if not (asked := self._asked.get(part.number)):
            return
        with suppress(StreamClosed):
            asked.stream.put(*(map(Scored, part.ids, part.logprobs) if part.logprobs else part.ids))
        if part.state != "running":
            self._asked.pop(part.number, None)
            failed = part.state == "failed"
            asked.stream.end(EngineError(part.reason or FAILED) if failed else None)
