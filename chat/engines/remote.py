"""A process that answers many requests at once: the server's side (see `process`).

Beside the server it leaves the event loop its interpreter lock, and what kills it, such as a
GPU that is lost, is a restart and not the end.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple, Protocol, Self

from chat.core.engine import Scored, State
from chat.engines.line import Line
from chat.engines.process import Part
from chat.engines.resume import MOST, Begun
from chat.engines.stream import StreamClosed, TokenStream
from chat.engines.watchdog import FACTOR, LEAST, Watchdog, slowed
from chat.errors import FAILED, Broken, EngineError, ModelError, describe

#: How many processes may end under a request until it is given up as the cause, and how many if
#: others would end with it.
ENDINGS, BESIDE_OTHERS = MOST + 1, 2
#: How many processes are started anew within so many seconds. One request takes three at the
#: most, so that it may be one of those and two ends by chance; where there are more, people
#: wait for a model to load most of the time, and another machine may do better.
RESTARTS, WITHIN = 5, 600.0
#: Seconds that loading anew may take in any case.
LOADING = 60.0

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


class _Unloaded(ModelError):
    """The process ended while it was loading."""


class Remote:
    """Runs `module` in a process of its own, has it load `plan`, and asks it.

    Where a process ends, another one is started, and its requests break: they can be asked again
    (see `resume`). One that ends no step for `watchdog` seconds, or several times as long as its
    longest step, is killed; for 0 none is. What ends one process after another has to be among
    those that were there each time; so then the one of them that came last is given up, where
    others would end with it. `title` is what does the work, for sentences. Nothing may be asked
    before `wait`.
    """

    def __init__(self, module: str, plan: Any, title: str, watchdog: float = LEAST) -> None:
        self._module = module
        self._plan = plan
        self._title = title
        self._patience = watchdog
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._line: Line
        self._watchdog: Watchdog | None = None
        self._restarts: deque[float] = deque(maxlen=RESTARTS)
        self.state: State = "loading"
        #: What the process said of itself.
        self.ready: Any = None
        self._thread: threading.Thread | None = None
        self._begun = time.monotonic()
        self._begin()

    def wait(self) -> Self:
        """Wait until it is loaded, which begins when this is made.

        Raises:
            ModelError: it cannot be.
        """
        self._receive(self._line)
        self._loading = max(LOADING, FACTOR * (time.monotonic() - self._begun))
        self._thread = threading.Thread(target=self._listen, name="engine", daemon=True)
        self._thread.start()
        return self

    async def ask(self, job: Job, begun: Begun) -> AsyncGenerator[list[int]]:
        """Give the ids of the reply to `job`, which has `begun`, as they come.

        Raises:
            Broken: the process ended.
            EngineError: it failed, or ends one process after another.
        """
        number, stream = next(self._numbers), TokenStream()
        asked = _Asked(job._replace(number=number), stream, begun)
        with self._lock:
            if self._closed:
                raise EngineError(FAILED)
            self._asked[number] = asked
            if self.state == "ready":  # else it is sent when there is a process again
                self._line.send(asked.job)
        try:
            async for ids in stream.batches():
                yield ids
        finally:
            with self._lock:
                if self._asked.pop(number, None) and self.state == "ready":
                    self._line.send(number)

    def close(self) -> None:
        """Give back all that it took; nothing can be asked afterwards."""
        self._closed = True
        self._line.kill()
        if self._thread:
            self._thread.join()
        else:
            self._line.end()

    def _begin(self) -> Line:
        """Start the process, and have it load.

        Raises:
            OSError: it cannot be started.
        """
        line = self._line = Line(self._module)
        if self._closed:  # just now, when there was the one before
            line.kill()
        line.send(self._plan)
        return line

    def _receive(self, line: Line, within: float | None = None) -> None:
        """Wait until the process is ready, for so many seconds at the most.

        Raises:
            ModelError: it does not get ready.
        """
        late = threading.Timer(within or 0, self._hung, [line, within])
        late.daemon = True
        if within:
            late.start()
        try:
            answer = line.receive()
            longest = 0.0 if isinstance(answer, ModelError) else line.receive()
        except EOFError:
            answer = _Unloaded(
                f"{self._title} cannot run this model: its process ended while it was loading it."
            )
        except KeyboardInterrupt:
            line.kill()  # it would load to the end before it looked
            raise
        finally:
            late.cancel()
        if isinstance(answer, ModelError):
            line.end()
            raise answer

        def patience() -> float:
            return max(self._patience, slowed(longest)) if self._asked else 0.0

        with self._lock:
            self.ready = answer
            self.state = "ready"
            if self._patience:
                self._watchdog = Watchdog(patience, lambda seconds: self._hung(line, seconds))
            for asked in self._asked.values():
                line.send(asked.job)

    def _hung(self, line: Line, seconds: float) -> None:
        log.error("The engine's process did nothing for %.0f seconds, and is killed.", seconds)
        line.kill()

    def _listen(self) -> None:
        """Hand on what the process sends; if it ends, start another; at the end tell everyone."""
        while not self._closed:
            try:
                for part in self._line.receive():
                    self._hand_on(part)
                if self._watchdog:
                    self._watchdog.beat()
                continue
            except EOFError:
                pass
            except Exception as error:  # what came makes no sense, nor will what follows
                log.error("The engine's process: %s", describe(error))
                self._line.kill()
            if not self._closed:
                self._restart()
        if self._watchdog:
            self._watchdog.close()
        self._line.end()
        with self._lock:
            while self._asked:
                _, asked = self._asked.popitem()
                asked.stream.end(EngineError(FAILED))

    def _restart(self) -> None:
        """End what the process leaves, and start others until one is ready, or it is no use."""
        with self._lock:
            self.state = "loading"
            all_asked = [self._asked.pop(number) for number in list(self._asked)]
            most = BESIDE_OTHERS if len(all_asked) > 1 else ENDINGS
            suspects = [one.begun for one in all_asked if one.begun.endings + 1 >= most]
            newest = max(suspects, key=lambda begun: begun.number, default=None)
            for asked in all_asked:
                asked.stream.end(EngineError(FAILED) if asked.begun is newest else Broken())
        if self._watchdog:
            self._watchdog.close()
        status = self._line.end()
        log.error("The engine's process ended (%s).", status)
        try:
            if status is None:
                raise ModelError("What holds it is the system itself, so there is no other one.")
            while not self._started():
                pass
        except Exception as error:  # whatever it is: nobody would be told that none comes any more
            if not self._closed:
                known = isinstance(error, ModelError | OSError)
                log.error("%s", error if known else describe(error))
            self._line.kill()
            self.state = "failed"
            self._closed = True

    def _started(self) -> bool:
        """Start another process, unless there were too many; return whether it got ready."""
        now = time.monotonic()
        if len(self._restarts) == RESTARTS and now - self._restarts[0] < WITHIN:
            raise ModelError("That was once too often within ten minutes: there is no other one.")
        self._restarts.append(now)
        try:
            self._receive(self._begin(), self._loading if self._patience else None)
        except _Unloaded as error:
            if self._closed:
                raise
            log.error("%s", error)
            return False
        return True

    def _hand_on(self, part: Part) -> None:
        if not (asked := self._asked.get(part.number)):
            return
        if part.cached is not None:
            asked.stream.cached(part.cached)
        with suppress(StreamClosed):
            asked.stream.put(*(map(Scored, part.ids, part.logprobs) if part.logprobs else part.ids))
        if part.state != "running":
            self._asked.pop(part.number, None)
            failed = part.state == "failed"
            asked.stream.end(EngineError(part.reason or FAILED) if failed else None)
