"""Many distinct patterns, while somebody else is written to: what they take and how they disturb.

    python -m benchmarks.grammars --patterns 300 --context-window 512 --parallel 2

With so small a window the whole of the KV cache has been touched early, and what memory is taken
later is the grammars'.

`measure` gives the neighbour's time between two tokens, in seconds, beside replies that are not
tied down and beside such that are; and the memory of the engine's processes, in bytes, before the
patterns, after a tenth of them, and at the end.
"""

import asyncio
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import psutil

from chat.core.engine import Engine
from chat.core.sampling import Sampling
from chat.errors import ChatError
from chat.load import load
from chat.settings import read

PROMPT = [5, 6, 7, 8]
#: Tokens of each reply that has to fit a pattern, and of those between which the neighbour waits.
TOKENS, LONG = 8, 300


def pattern(number: int) -> str:
    """Return a pattern that no other number has, some of which are dear."""
    some = f"[a-z]{{1,{number % 29 + 1}}}"
    return f"n{number}({some}|[^0-9 ]{{0,{number % 13}}}|(a|b)*){{1,{number % 3 + 1}}}"


async def measure(engine: Engine, patterns: int) -> dict[str, Any]:
    """Return what the module says, and how many of the patterns were refused."""
    short = [Sampling(max_new_tokens=TOKENS, seed=number) for number in range(patterns)]
    tied = [one.model_copy(update={"regex": pattern(number)}) for number, one in enumerate(short)]
    plain, _ = await beside(engine, short)
    before = memory()
    tenth = patterns // 10
    first, refused = await beside(engine, tied[:tenth])
    early = memory()
    rest, more = await beside(engine, tied[tenth:])
    return {
        "refused": refused + more,
        "beside others": summary(plain),
        "beside patterns": summary([*first, *rest]),
        "bytes": [before, early, memory()],
    }


async def beside(engine: Engine, samplings: Sequence[Sampling]) -> tuple[list[float], int]:
    """Return the gaps of a neighbour while these replies are written, and how many were refused."""
    held, refused = list[float](), 0

    async def neighbour() -> None:
        while True:
            await gaps(engine, held)

    following = asyncio.create_task(neighbour())
    try:
        for sampling in samplings:
            try:
                await engine.admit(sampling)
                async with aclosing(engine.generate(PROMPT, sampling)) as batches:
                    async for _ in batches:
                        pass
            except ChatError:
                refused += 1
    finally:
        following.cancel()
        await asyncio.wait([following])
    return held, refused


async def gaps(engine: Engine, found: list[float]) -> None:
    """Add the seconds between the tokens of a long reply to what is `found`."""
    sampling = Sampling(max_new_tokens=LONG, min_new_tokens=LONG, temperature=0)
    last = 0.0
    async with aclosing(engine.generate(PROMPT, sampling)) as batches:
        async for ids in batches:
            if ids:
                now = time.monotonic()
                found += [now - last] * bool(last)
                last = now


def summary(seconds: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the longest."""
    if len(seconds) < 2:
        return {}
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    return {"p50": statistics.median(seconds), "p99": p99, "longest": max(seconds)}


def memory() -> dict[str, int]:
    """Return the resident bytes of the processes that this one has started, by their modules."""
    found = {}
    for process in psutil.Process().children():
        name = process.cmdline()[2] if len(process.cmdline()) > 2 else process.name()
        found[name.removeprefix("chat.engines.")] = process.memory_info().rss
    return found


def main(arguments: list[str]) -> None:
    """Measure the engine that the settings name, and print what was found."""
    parser = ArgumentParser("python -m benchmarks.grammars", description=__doc__)
    parser.add_argument("--patterns", type=int, default=300)
    chosen, rest = parser.parse_known_args(arguments)
    chat = load(read(rest))
    try:
        for name, value in asyncio.run(measure(chat.engine, chosen.patterns)).items():
            print(f"{name}: {value}", flush=True)
    finally:
        chat.engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
