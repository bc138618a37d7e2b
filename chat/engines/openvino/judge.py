"""Which grammars replies can be held to without keeping others waiting (see `trial`)."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import DEVNULL, Popen
from threading import Event, Timer

from chat import child
from chat.engines.openvino.wire import GRAMMAR_BYTES, PATIENCE, Trials
from chat.errors import FAILED, EngineError

#: Most verdicts that are remembered.
MOST_VERDICTS = 10_000
#: Seconds in which the process has to be there.
STARTING = 60.0
#: No grammar counts as less.
LEAST_BYTES = 50_000


class Judge:
    """Has grammars tried, one at a time, by a process that is started for the first of them.

    They are for the tokenizer in `folder`, and a model that scores `vocabulary` tokens.
    `compiling` is the CPU time that one may take to compile, `writing` that of the first few
    tokens, in seconds, `most_bytes` the memory.
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: int,
        compiling: float = 3.0,
        writing: float = 1.5,
        most_bytes: int = 1 << 30,
    ) -> None:
        self._trials = Trials(str(folder), vocabulary, compiling, writing, most_bytes)
        #: It ends itself before; but one that is stopped does not.
        self._longest = 2 * PATIENCE * (compiling + writing)
        self._verdicts: dict[bytes, int | None] = {}
        self._thread = ThreadPoolExecutor(1, "judge")
        self._process: Popen[str] | None = None
        self._connection: Connection | None = None
        #: What the process has compiled, and keeps.
        self._bytes = 0

    async def size(self, ties: dict[str, str]) -> int | None:
        """Return the bytes that a grammar takes once it is compiled, or None if it is too much.

        Raises:
            EngineError: it cannot be tried.
        """
        key = sha256(repr(ties).encode()).digest()
        if key in self._verdicts:
            return self._verdicts[key]
        # Not in the threads that all share, of which a few such waits would take the last.
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._try, key, ties)

    def close(self) -> None:
        """End the process; there are no verdicts afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if process := self._process:
            process.kill()
        self._thread.shutdown()
        self._end()

    def _try(self, key: bytes, ties: dict[str, str]) -> int | None:
        if key in self._verdicts:
            return self._verdicts[key]
        dead = self._process and self._process.poll() is not None  # and not of this one
        if dead or self._bytes > GRAMMAR_BYTES:
            self._end()
        connection = self._connection or self._start()
        verdict: int | None
        with self._limited(self._longest) as late:
            try:
                connection.send(ties)
                verdict = max(connection.recv(), LEAST_BYTES)
                self._bytes += verdict
            except (EOFError, OSError):
                verdict = None
                self._end()
        if late.is_set():  # which says nothing of the grammar
            self._end()
            raise EngineError(FAILED)
        while len(self._verdicts) >= MOST_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = verdict
        return verdict

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            self._process = child.start(
                "chat.engines.openvino.trial", fd, pass_fds=[fd], stderr=DEVNULL
            )
        self._connection, self._bytes = ours, 0
        with self._limited(STARTING):
            try:
                ours.send(self._trials)
                ours.recv()
            except (EOFError, OSError):
                self._end()
                raise EngineError(FAILED) from None
        return ours

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[Event]:
        """End the process after so many seconds; gives what says so then."""
        late, process = Event(), self._process

        def end() -> None:
            late.set()
            if process:
                process.kill()

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def _end(self) -> None:
        if self._connection:
            self._connection.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None
