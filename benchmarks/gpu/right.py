"""Whether an engine writes what `model.generate` writes: whole replies, greedy.

Cold, over the turns of a conversation, on a retry, after Stop, and at once with others.
Two ways to add up the same numbers round differently, so where the model finds two tokens
equally likely, either is right: a difference is a tie if the model's own scores prefer its
token by no more than `TIE` of their standard deviation there.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from benchmarks.gpu import generate, replies
from benchmarks.gpu.bench import Bench, computing_in, figure
from benchmarks.gpu.checkpoints import END
from benchmarks.gpu.report import Result
from chat.core.engine import Engine

TIE = {torch.float32: 1e-3, torch.bfloat16: 0.4, torch.float16: 0.02}
#: Turns of the conversation that is compared.
TURNS = 4
#: Tokens after which a reply is stopped.
STOPPED = 3


class Case(NamedTuple):
    """A prompt, and what is to follow it."""

    prompt: list[int]
    expected: list[int]


@dataclass
class Judge:
    """Compares replies with what was expected of `model`, and counts."""

    model: Any
    equal: int = 0
    of: int = 0
    #: Where replies differ, in words.
    ties: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def compare(self, what: str, case: Case, ids: Sequence[int]) -> None:
        """Take a reply."""
        self.of += 1
        if list(ids) == case.expected:
            self.equal += 1
            return
        pairs = enumerate(zip(case.expected, ids, strict=False))
        place = next((at for at, (one, other) in pairs if one != other), None)
        if place is None:
            self.wrong.append(f"{what}: {len(ids)} tokens instead of {len(case.expected)}")
            return
        gap = self._gap(case, place, ids[place])
        where = f"{what}: token {place + 1} of {len(case.expected)}, {figure(gap)} less likely"
        (self.ties if gap <= TIE[self.model.dtype] else self.wrong).append(where)

    def _gap(self, case: Case, place: int, id: int) -> float:
        """Return by how many standard deviations the model prefers its own token there."""
        ids = torch.tensor([[*case.prompt, *case.expected[:place]]], device=self.model.device)
        with torch.inference_mode():
            scores = self.model(input_ids=ids).logits[0, -1].float()
        return float((scores[case.expected[place]] - scores[id]) / scores.std())

    def result(self) -> Result:
        """Return what was found."""
        found: Result = {"right": not self.wrong, "equal": f"{self.equal} of {self.of}"}
        found |= {"ties": self.ties} if self.ties else {}
        return found | ({"wrong": self.wrong} if self.wrong else {})


class Cases(NamedTuple):
    """All that is compared: prompts of some lengths, and a conversation's turns."""

    alone: list[Case]
    turns: list[Case]


def cases(bench: Bench, model: Any) -> Cases:
    """Return prompts with what `model.generate` writes to each, read anew."""
    tokens, vocabulary = bench.size.compared_tokens, model.config.vocab_size

    def case(prompt: list[int]) -> Case:
        return Case(prompt, generate.greedy(model, prompt, tokens))

    alone = [case(bench.ids(length, length, vocabulary)) for length in bench.size.compared]
    turns, prompt = list[Case](), bench.ids(40, 0, vocabulary)
    for turn in range(TURNS):
        turns.append(case(prompt))
        prompt = [*prompt, *turns[-1].expected, *bench.ids(9, turn + 1, vocabulary)]
    return Cases(alone, turns)


async def judged(bench: Bench, engine: Engine, judge: Judge, expected: Cases) -> Result:
    """Compare the engine's replies, in all these circumstances."""
    tokens = bench.size.compared_tokens
    greedy = replies.greedy(tokens)
    alone, turns = expected

    async def compare(what: str, case: Case) -> None:
        judge.compare(what, case, (await replies.write(engine, case.prompt, greedy)).ids)

    for number, case in enumerate(alone):
        await compare(f"cold, {len(case.prompt)} tokens", case)
        if number % 2:
            await compare(f"again, {len(case.prompt)} tokens", case)
    for number, case in enumerate(turns, 1):
        await compare(f"turn {number}", case)
    await compare("retry", turns[-1])
    await compare("an earlier turn", turns[1])

    # At once, and each joining the others later than the one before.
    prompts = [case.prompt for case in alone]
    for case, one in zip(
        alone, await replies.together(engine, prompts, [greedy] * len(alone)), strict=True
    ):
        judge.compare(f"together, {len(case.prompt)} tokens", case, one.ids)

    # Stop, in the middle of a reply and while the longest prompt is read.
    longest = max(alone, key=lambda case: len(case.prompt))
    await replies.write(engine, turns[0].prompt, greedy, until=STOPPED)
    await compare("after a stop", turns[0])
    await stopped_while_reading(
        engine, bench.ids(len(longest.prompt), 5, judge.model.config.vocab_size)
    )
    await compare("after a stop while reading", longest)

    drawn = [
        (await replies.write(engine, longest.prompt, replies.drawn(tokens, seed))).ids
        for seed in (1, 1, 2)
    ]
    found = judge.result()
    found |= {
        "same_seed_same_reply": drawn[0] == drawn[1],
        "other_seed_other": drawn[1] != drawn[2],
    }
    found["right"] &= drawn[0] == drawn[1]
    return found


async def stopped_while_reading(engine: Engine, prompt: Sequence[int], after: float = 0.01) -> None:
    """Ask for a reply, and leave before its first token."""
    task = asyncio.create_task(replies.write(engine, prompt, replies.greedy(4)))
    await asyncio.sleep(after)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def transformers(bench: Bench, dtype: str) -> Result:
    """Compare the transformers engine, computing in `dtype`."""
    from chat.engines.transformers.engine import TransformersEngine

    model, expected = _reference(bench, dtype)
    engine = TransformersEngine(model, [END], _window(bench))
    try:
        return replies.run(judged(bench, engine, Judge(model), expected))
    finally:
        engine.close()


def batched(bench: Bench, dtype: str, way: str) -> Result:
    """Compare the batched engine, computing in `dtype`, in one of its ways."""
    started = bench.batched("sharp", dtype, way)
    model, expected = _reference(bench, dtype)
    found = replies.run(judged(bench, started.engine, Judge(model), expected))
    return {**found, **started.said}


def killed(bench: Bench) -> Result:
    """End the batched engine's process in the middle of a reply, which goes on in another."""
    started = bench.batched("sharp", "float32")
    model, (alone, _) = _reference(bench, "float32")
    judge, greedy = Judge(model), replies.greedy(bench.size.compared_tokens)

    async def go_on() -> float:
        ids, began = list[int](), 0.0
        async with aclosing(started.engine.generate(alone[0].prompt, greedy)) as batches:
            async for some in batches:
                ids += some
                if ids and not began:
                    started.kill()
                    began = time.perf_counter()
        judge.compare("the reply in which it was killed", alone[0], ids)
        seconds = time.perf_counter() - began
        again = await replies.write(started.engine, alone[1].prompt, greedy)
        judge.compare("the next one", alone[1], again.ids)
        return seconds

    seconds = replies.run(go_on())
    return {**judge.result(), "done_after_s": figure(seconds), "state": started.engine.state}


def _reference(bench: Bench, dtype: str) -> tuple[Any, Cases]:
    """Return the model and what it writes, before an engine changes how it computes."""
    from chat.models import quantize

    with computing_in(getattr(torch, dtype)):
        model = quantize.tokenizer_and_model(bench.sharp, bench.scratch)[1]
    return model, cases(bench, model)


def _window(bench: Bench) -> int:
    return int(bench.size.sharp["max_position_embeddings"])
