"""Which grammars replies can be held to without keeping others waiting (see `trial`)."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from subprocess import DEVNULL
from threading import Event, Timer
from typing import Any

from chat.engines.line import Line
from chat.engines.openvino.wire import GRAMMAR_BYTES, PATIENCE, Trials
from chat.errors import FAILED, EngineError

#: Most verdicts that are remembered.
MOST_VERDICTS = 10_000
#: Seconds in which the process has to be there.
STARTING = 60.0
#: How a process ends (see `Popen.returncode`) that had too little of a busy machine, or was killed
#: for what others took of its memory: neither says anything of a grammar.
UNPROVEN = (-signal.SIGALRM, -signal.SIGKILL)
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
        self._line: Line | None = None
        self._closed = False
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
        self._closed = True  # whoever waits hears of it, which nobody would who is cancelled
        if line := self._line:
            line.kill()
        self._thread.shutdown()
        self._end()

    def _try(self, key: bytes, ties: dict[str, str]) -> int | None:
        if self._closed:
            raise EngineError(FAILED)
        if key in self._verdicts:
            return self._verdicts[key]
        dead = self._line and not self._line.alive  # and not of this one
        if dead or self._bytes > GRAMMAR_BYTES:
            self._end()
        line = self._line or self._start()
        verdict: int | None
        try:
            verdict = max(self._ask(line, ties, self._longest), LEAST_BYTES)
            self._bytes += verdict
        except EOFError as ended:
            if ended.args[0] in UNPROVEN:
                raise EngineError(FAILED) from None
            verdict = None
        while len(self._verdicts) >= MOST_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = verdict
        return verdict

    def _start(self) -> Line:
        # Nobody sees what it writes of errors, which may quote what someone wrote.
        line = self._line = Line("chat.engines.openvino.trial", stderr=DEVNULL)
        self._bytes = 0
        try:
            self._ask(line, self._trials, STARTING)
        except EOFError:
            raise EngineError(FAILED) from None
        return line

    def _ask(self, line: Line, message: Any, seconds: float) -> Any:
        """Return the answer of the process, which is ended where there is none.

        Raises:
            EOFError: it has ended, with this status.
            EngineError: it was not done after so many seconds, which says nothing of a grammar.
        """
        late = Event()

        def end() -> None:
            late.set()
            line.kill()

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            line.send(message)
            answer = line.receive()
        except EOFError:
            status = self._end(itself=True)
            if not late.is_set():
                raise EOFError(status) from None
        finally:
            timer.cancel()
        if late.is_set():
            self._end()
            raise EngineError(FAILED)
        return answer

    def _end(self, *, itself: bool = False) -> int | None:
        """End the process, unless it does so `itself`, and return how it has ended."""
        line, self._line = self._line, None
        if not line:
            return None
        if not itself:
            line.kill()
        return line.end()
