"""An engine without a model, with a process of its own as the real ones have."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from benchmarks.reliability.echo.asked import MIDST, due, note, reply, word_in
from benchmarks.reliability.echo.worker import PACE, Job
from chat.core.engine import Scored, State
from chat.core.sampling import Sampling
from chat.core.tokens import FastTokens
from chat.engines.remote import Remote
from chat.engines.resume import Begun, going_on
from chat.errors import OutOfMemory

#: What happens in the engine's process, and in the server's own.
THERE = ("killed", "raised", "cut", "half", "garbled", "hung")
HERE = ("start", "step", "end", "memory")
#: Seconds for which somebody else blocks the event loop, and that a slow reply takes to begin.
BLOCKED, READING = 1.0, 2.0
#: Seconds from token to token.
PACES = {"slowly": 0.05, "slower": 0.15}


class EchoEngine:
    """Says what it was asked for, as often as it was asked; `tokens` are those of its prompts."""

    parallel = 8
    window = 4096
    supports = frozenset({"choices", "regex", "json_schema", "logprobs", "top_logprobs"})

    def __init__(self, tokens: FastTokens, stop_ids: set[int]) -> None:
        self.stop_ids = frozenset(stop_ids)
        self._tokens = tokens
        self._remote = Remote("benchmarks.reliability.echo.worker", "nothing", "The echo").wait()

    @property
    def state(self) -> State:
        """See `Engine.state`."""
        return self._remote.state

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`."""
        if due(sampling.pattern, "grammar"):
            note("grammar")
            raise RuntimeError(f"no grammar can be compiled of {sampling.pattern}")

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        text = self._tokens.show(prompt)
        words = f"{reply(word_in(text))}"
        ids = [*self._tokens.encode([words]), min(self.stop_ids)][: sampling.max_new_tokens]
        fault, there = due(text, *HERE), due(text, *THERE)
        reading = READING if due(text, "reading") else 0.0
        pace = PACES.get(due(text, *PACES), PACE)
        if due(text, "clock"):
            note("clock")
            _set_back()
        if due(text, "blocked"):
            note("blocked")
            time.sleep(BLOCKED)  # noqa: ASYNC251  # what somebody else does
        if fault == "start":
            note(fault)
            raise RuntimeError(f"cannot begin with {text}")

        def ask(begun: Begun) -> AsyncGenerator[list[int]]:
            how = "" if begun.endings else there
            rest = ids[len(begun.ids) :]
            return self._remote.ask(Job(0, rest, reading, pace, how, MIDST), begun)

        given = 0
        async with aclosing(going_on(ask, sampling, self.stop_ids)) as batches:
            async for batch in batches:
                given += len(batch)
                if fault and given >= (len(ids) if fault == "end" else MIDST):
                    note(fault)
                    raise _failure(fault, text)
                yield [Scored(id, -0.25) for id in batch] if sampling.logprobs else batch

    def close(self) -> None:
        """See `Engine.close`."""
        self._remote.close()


def _failure(fault: str, text: str) -> Exception:
    if fault == "memory":
        return OutOfMemory("The model ran out of memory. Please say less.")
    return RuntimeError(f"cannot {'end' if fault == 'end' else 'go on'} with {text}")


def _set_back() -> None:
    """Set the clock of this process back by a day."""
    now = time.time
    time.time = lambda: now() - 86_400
