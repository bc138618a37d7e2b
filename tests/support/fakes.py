"""Stand-ins at the seams: an engine that speaks a script, with one character to a token."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from chat.core.chat import Chat
from chat.core.engine import TICK, Cached, Scored, State
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from prompts import Control, Message, Piece, PromptFormat, visible
from prompts.base import Ids, check
from prompts.marks import tag

END = 0
"""The id that ends a reply."""


class CharTokens:
    """One character, one token; those of a control piece too, unless it is `|`, which is `END`."""

    def __init__(self) -> None:
        self.remembered: dict[str, list[int]] = {}

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        ids: list[int] = []
        for piece in pieces:
            if isinstance(piece, Ids):
                ids += piece.ids
                continue
            end = isinstance(piece, Control) and piece.text == "|"
            ids += [END] if end else [ord(letter) for letter in visible(piece)]
        return ids

    def decoder(self, shown: Sequence[str] = ()) -> "CharTokens":
        return self

    def push(self, ids: Iterable[int]) -> str:
        return "".join(map(chr, ids))

    def show(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids)).replace(chr(END), "|")

    def knows(self, id: int) -> bool:
        return 0 <= id <= 0x10FFFF and not 0xD800 <= id < 0xE000

    def bytes_of(self, id: int) -> bytes:
        return chr(id).encode()

    def remember(self, reply: str, ids: Sequence[int]) -> None:
        self.remembered[reply] = list(ids)


class LineFormat(PromptFormat):
    """`role: content` between control tokens."""

    name = "lines"

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        check(messages)
        pieces: list[Piece] = []
        for role, content, *_ in messages:
            pieces += [f"{role}: {content}", Control("|")]
        return [*pieces, "assistant: "]


class ThinkingFormat(LineFormat):
    """The same for a model that thinks in `<think>`."""

    thoughts = tag("think")


def last_message(prompt: str) -> str:
    """Return what the user said last in a prompt of `LineFormat`."""
    return prompt.rsplit("user: ", 1)[1].split(chr(END))[0]


def echo(prompt: str) -> str:
    return f"You said: {last_message(prompt)}"


def scored(id: int, top: int) -> Scored:
    """Return a character as the likeliest one, before those that follow it in Unicode."""
    return Scored(id, -0.25, tuple((id + place, -0.25 - place) for place in range(top)))


class ScriptedEngine:
    """Says `script(prompt)`, one character every `pace` seconds, whoever listens when.

    A script may raise: an exception in it stands for one in the worker, after
    the first half of `partly`.
    """

    parallel = 1
    window = 2000
    supports: frozenset[str] = frozenset()
    stop_ids = frozenset({END})
    state: State = "ready"

    def __init__(
        self,
        script: Callable[[str], str] = echo,
        pace: float = 0.0,
        reading: float = 0.0,
        partly: str = "",
        cached: int | None = None,
    ) -> None:
        self.script = script
        self.cached = cached
        self.pace = pace
        self.reading = reading
        self.partly = partly
        self.prompts: list[str] = []
        self.samplings: list[Sampling] = []
        #: The conversations that they were of.
        self.sessions: list[str] = []
        self.active = 0
        self.most_active = 0
        self.given = 0

    async def admit(self, sampling: Sampling) -> None:
        pass

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            text = "".join(map(chr, prompt))
            self.prompts.append(text)
            self.samplings.append(sampling)
            self.sessions.append(session)
            if self.cached is not None:
                yield Cached(self.cached)
            left = self.reading
            while left > 0:
                await asyncio.sleep(min(left, TICK))
                left -= TICK
                yield []
            for letter in self.partly:
                yield [ord(letter)]
            reply = [ord(letter) for letter in self.script(text)] + [END]
            reply = reply[: sampling.max_new_tokens]
            begin, given = time.monotonic(), 0
            while given < len(reply):
                await asyncio.sleep(self.pace)
                spoken = (time.monotonic() - begin) / self.pace if self.pace else len(reply)
                batch = reply[given : int(spoken)]
                given += len(batch)
                self.given += len(batch)
                top, asked = sampling.top_logprobs, sampling.logprobs
                yield [scored(id, top) for id in batch] if asked else batch
        finally:
            self.active -= 1

    def close(self) -> None:
        pass


def chat_with(
    engine: ScriptedEngine, max_waiting: int = 32, format: PromptFormat | None = None
) -> Chat:
    gate = Gate(engine.parallel, max_waiting)
    return Chat(engine, CharTokens(), format or LineFormat(), gate)
