"""The replies of an engine, with the times at which their tokens came."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar

from benchmarks.figures import Reply
from chat.core.engine import Engine
from chat.core.sampling import Sampling

T = TypeVar("T")


class Written(NamedTuple):
    """What came of one prompt."""

    ids: list[int]
    reply: Reply


def greedy(tokens: int) -> Sampling:
    """Return the sampling of the likeliest reply of so many tokens."""
    return Sampling(
        max_new_tokens=tokens, min_new_tokens=tokens, temperature=0, repetition_penalty=1
    )


def drawn(tokens: int, seed: int) -> Sampling:
    """Return the app's own sampling, for a reply of so many tokens."""
    return Sampling(max_new_tokens=tokens, min_new_tokens=tokens, seed=seed)


async def write(
    engine: Engine,
    prompt: Sequence[int],
    sampling: Sampling,
    until: int | None = None,
    negative: Sequence[int] = (),
) -> Written:
    """Have a reply written, and stopped from `until` tokens on.

    It keeps away from the `negative` prompt if `sampling` has one.

    Raises:
        RuntimeError: there was none.
        EngineError: the engine failed.
    """
    away = negative if sampling.negative_prompt else ()
    sent, ids, updates = time.perf_counter(), list[int](), list[tuple[float, int]]()
    async with aclosing(engine.generate(prompt, sampling, away)) as batches:
        async for some in batches:
            ids += map(int, some)
            if some:
                updates.append((time.perf_counter(), len(ids)))
            if until is not None and len(ids) >= until:
                break
    if not ids:
        raise RuntimeError("The engine wrote nothing.")
    return Written(ids, Reply(sent, updates))


async def together(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    samplings: Sequence[Sampling],
    negative: Sequence[int] = (),
) -> list[Written]:
    """Have several written at once, or as many at a time as the engine writes."""
    free = asyncio.Semaphore(engine.parallel)

    async def one(prompt: Sequence[int], sampling: Sampling) -> Written:
        waiting = time.perf_counter()
        async with free:
            ids, reply = await write(engine, prompt, sampling, negative=negative)
        return Written(ids, reply._replace(sent=waiting))

    return await asyncio.gather(*map(one, prompts, samplings))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for it."""
    return asyncio.run(work)
