"""Thousands of patterns, no two alike, while others read: what they cost memory and those.

What others wait for between two parts of their replies is compared with what they do while as
many ask for one and the same pattern.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles

from benchmarks import processes
from benchmarks.reliability.doors import Program, Reply
from benchmarks.reliability.steps import Found
from benchmarks.reliability.watch import Server
from benchmarks.server import APP, serving

PATTERNS, LEAST = 5000, 24
#: Who asks for them at once, for how many tokens; and who reads long replies meanwhile.
ASKING, TOKENS, READING, ENDLESS = 2, 4, 2, 600
#: How much either may grow. Of fewer patterns than these the waits say too little.
MORE, JUDGED = 0.1, 1000
#: Waits of the readers that there have to be, of few patterns and of as many as are compared; and
#: seconds that none may last.
FEW, MANY, STILL = 20, 1000, 10.0
LIMIT = 60.0


def grammars(share: float, engine: str = "openvino") -> Found:
    """Ask for one pattern again and again, and then for as many different ones."""
    count = max(LEAST, round(PATTERNS * share))
    with serving(APP, ["--model=embedded", f"--engine={engine}"], None) as server:
        return asyncio.run(_grammars(Server(server.url, server.pid), count))


async def _grammars(server: Server, count: int) -> Found:
    readers = [Program(server.url, stream=True) for _ in range(READING)]
    asking = [Program(server.url, stream=False) for _ in range(ASKING)]
    broken: list[str] = []
    # Where nothing is compared, a few are enough to have it all warm, and the others read.
    same = [_pattern(0)] * (count if count >= JUDGED else LEAST)
    await _tied(asking, same[:ASKING], broken)
    one = await _while_reading(readers, asking, same, broken)
    before = processes.pss(server.pid)
    many = await _while_reading(readers, asking, [*map(_pattern, range(1, count + 1))], broken)
    after = processes.pss(server.pid)
    for program in (*readers, *asking):
        await program.close()
    await server.close()
    return found(count, (before, after), (one, many), broken)


def found(
    count: int,
    memory: tuple[float, float],
    gaps: tuple[Sequence[float], Sequence[float]],
    broken: list[str],
) -> Found:
    """Compare memory (MB) and the others' waits (seconds), before and after so many patterns."""
    waits = [quantiles(each, n=100)[-1] if len(each) > 1 else 0.0 for each in gaps]
    more, longer = memory[1] / memory[0] - 1, waits[1] / (waits[0] or 1e-9) - 1
    least, longest = MANY if count >= JUDGED else FEW, max((*gaps[0], *gaps[1]), default=0.0)
    for where, each in zip(("one pattern", "all different"), gaps, strict=True):
        if len(each) < least:
            broken.append(f"The others read too little: {len(each)} parts ({where}).")
    if longest > STILL:
        broken.append(f"One of the others had nothing for {longest:.0f} s.")
    if count >= JUDGED and more > MORE:
        broken.append(f"The memory grew by {more:.0%}.")
    if count >= JUDGED and longer > MORE:
        broken.append(f"The others waited {longer:.0%} longer.")
    figures: dict[str, float | str] = {
        "patterns": count,
        "memory before and after (MB)": "{:.0f}, {:.0f}".format(*memory),
        "others' p99 between two parts, one pattern (ms)": 1000 * waits[0],
        "others' p99 between two parts, all different (ms)": 1000 * waits[1],
        "others' longest between two parts (ms)": 1000 * longest,
    }
    return Found(figures, broken)


def _pattern(number: int) -> str:
    return f"(No|Yes), {number}: [a-z]{{1,{2 + number % 7}}}( of item {number})?"


async def _tied(asking: list[Program], patterns: list[str], broken: list[str]) -> None:
    """Ask for a reply of each pattern, so many at once."""
    left = iter(patterns)

    async def ask(program: Program) -> None:
        for pattern in left:
            try:
                async with asyncio.timeout(LIMIT):
                    await program.ask("Yes or no?", TOKENS, reply := Reply(), regex=pattern)
                if not reply.text.startswith(("No", "Yes")):
                    broken.append("A reply did not fit its pattern.")
            except Exception as error:
                broken.append(f"A pattern was not answered: {type(error).__name__}: {error}")

    await asyncio.gather(*map(ask, asking))


async def _while_reading(
    readers: list[Program], asking: list[Program], patterns: list[str], broken: list[str]
) -> list[float]:
    """Ask for patterns; return how long the readers waited each time, in seconds."""
    gaps: list[float] = []

    async def read(program: Program) -> None:
        while True:
            began, reply = time.perf_counter(), Reply()
            try:
                await program.ask("Tell all.", ENDLESS, reply, min_tokens=ENDLESS)
            except Exception as error:
                broken.append(f"A reader was not answered: {type(error).__name__}: {error}")
                return
            finally:
                # Who still waits at the end has waited too, be it for the first part.
                times = [began, *reply.times, time.perf_counter()]
                gaps.extend(other - one for one, other in pairwise(times))

    reading = [asyncio.create_task(read(program)) for program in readers]
    await _tied(asking, patterns, broken)
    for program, task in zip(readers, reading, strict=True):
        await program.stop(task)
    return gaps
