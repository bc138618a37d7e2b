"""Thoughts that end after so many tokens, and grammars that hold the reply after a thought.

No engine knows of thoughts. One whose thought has used up its budget is left as if nobody
wanted more; the end mark is written for the model, and the engine is asked to go on from
there. So it is where a reply has to fit something: the thought is free, and what comes after
it is not. What was read and written before lies in the prefix cache by then.

Source: budgets are forced like this in s1: Simple Test-Time Scaling (Muennighoff et al., 2025).
"""

import math
from collections.abc import AsyncGenerator, Container, Sequence
from contextlib import aclosing
from typing import Literal, NamedTuple

from chat.core.engine import Cached, Engine
from chat.core.sampling import Sampling
from chat.core.tokens import Decoder, Tokens
from prompts import Control
from prompts.marks import Marks
from prompts.thoughts import Span, parts

#: A reply may still begin with a thought, is in one, has ended it, or began without one.
Stage = Literal["open", "thinking", "over", "none"]


class Mark(int):
    """The id of a token that was written for the model."""


class Ahead(NamedTuple):
    """What is there of a reply that may begin with a thought, or go on with one."""

    marks: Marks
    #: Its text, with the marks in it.
    text: str
    #: Has read it; nobody else goes on with this one.
    decoder: Decoder


async def generate(
    engine: Engine,
    tokens: Tokens,
    prompt: Sequence[int],
    sampling: Sampling,
    negative: Sequence[int] = (),
    ahead: Ahead | None = None,
    session: str = "",
) -> AsyncGenerator[list[int]]:
    """Do what `Engine.generate` does, and see to the thought that may come first.

    What is written for the model is given as if it had written it, but as `Mark`s.

    Raises:
        EngineError: see `Engine.generate`.
    """
    goes_on = bool(ahead) and (sampling.tied or sampling.thinking_budget)
    if ahead and goes_on:
        thought, written = _Thought(ahead, sampling, engine.stop_ids), list[int]()
        async with aclosing(engine.generate(prompt, sampling.free(), negative, session)) as batches:
            async for ids in batches:
                new = thought.take(ids)
                written += map(int, new)
                yield new if ids else ids
                if thought.left:
                    break
        if not thought.left:
            yield thought.end()
        if not thought.left:
            return
        mark = tokens.encode([Control(thought.mark)]) if thought.mark else []
        mark = mark[: sampling.max_new_tokens - len(written)]
        yield list(map(Mark, mark))
        written += mark
        # With other random numbers than the thought's.
        sampling = sampling.less(len(written)).numbered(len(written))
        if not sampling.max_new_tokens:
            return
        prompt, negative = [*prompt, *written], [*negative, *written] if negative else negative
    async with aclosing(engine.generate(prompt, sampling, negative, session)) as batches:
        async for ids in batches:
            # The prompt has the thought in it by now, and its figure is known.
            yield [] if goes_on and isinstance(ids, Cached) else ids


class _Thought:
    """Watches for the end of a thought, and for a reply without one."""

    def __init__(self, ahead: Ahead, sampling: Sampling, stop_ids: Container[int]) -> None:
        self._marks, self._text, self._decoder = ahead
        self._tied, self._budget = sampling.tied, sampling.thinking_budget or math.inf
        self._stop_ids = stop_ids
        self._stage: Stage = "open"
        #: From where to where the thought goes, without what may become its end mark.
        self._span = Span(0, 0)
        #: Ids that may be no part of the thought, or of the reply, and where each begins and ends.
        self._held: list[tuple[int, Span]] = []
        self._look()
        #: Whether the engine is to be left, and to go on after `mark`.
        self.left = False
        self.mark = ""

    def take(self, ids: Sequence[int]) -> list[int]:
        """Return those of the ids, and of earlier ones, that are a part of the reply."""
        given: list[int] = []
        for place, id in enumerate(ids):
            if self._stage in ("over", "none"):  # and nothing is tied: the engine goes on
                return [*given, *ids[place:]]
            if id in self._stop_ids:
                if self._tied:
                    self._leave(self._marks.closing)
                else:
                    given += [*(one for one, _ in self._held), id]
                    self._held.clear()
                break
            given += self._next(id)
            if self.left:
                break
        return given

    def end(self) -> list[int]:
        """Return what is left where the engine has written all that it may."""
        if self._tied and self._stage == "open":
            self._leave("")  # for a reply that has to fit, nothing is written yet
            return []
        return [one for one, _ in self._held]

    def _next(self, id: int) -> list[int]:
        start = len(self._text)
        self._text += self._decoder.push([id])
        self._held.append((id, Span(start, len(self._text))))
        self._look()
        given: list[int] = []
        if self._stage == "thinking":
            while self._held and self._held[0][1].end <= self._span.end and not self.left:
                one, span = self._held.pop(0)
                given.append(one)
                self._budget -= span.start >= self._span.start
                if self._budget <= 0 and span.start < span.end:  # not within a character
                    self._leave(self._marks.closing)
        elif not self._tied or self._stage == "over":
            given += [one for one, _ in self._held]
            self._held.clear()
        if self._tied and self._stage in ("over", "none"):
            self._leave(self._marks.closing.partition(self._marks.end)[2])
        return given

    def _leave(self, mark: str) -> None:
        self.left = True
        thought = self._stage not in ("open", "none")
        # Where a reply has a mark of its own, it has one without a thought too.
        self.mark = mark if thought else self._marks.empty * bool(self._marks.around)

    def _look(self) -> None:
        found = parts(self._text, self._marks, finished=False)
        if found.thinking:
            self._stage, self._span = "thinking", found.thoughts[-1]
        else:
            self._stage = "over" if found.thoughts else "none" if found.begun else "open"
