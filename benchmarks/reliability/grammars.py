"""Thousands of patterns, no two alike, while others read: what they cost memory and those.

What others wait for between two parts of their replies is compared with what they do while as
many ask for one and the same pattern.
"""

import asyncio
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
    # Where nothing is compared, a few are enough to have it all warm.
    same = [_pattern(0)] * (count if count >= JUDGED else ASKING)
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
    count: int, memory: tuple[float, float], waits: tuple[float, float], broken: list[str]
) -> Found:
    """Compare memory (MB) and the others' waits (seconds), before and after so many patterns."""
    more, longer = memory[1] / memory[0] - 1, waits[1] / (waits[0] or 1e-9) - 1
    if count >= JUDGED and more > MORE:
        broken.append(f"The memory grew by {more:.0%}.")
    if count >= JUDGED and longer > MORE:
        broken.append(f"The others waited {longer:.0%} longer.")
    figures: dict[str, float | str] = {
        "patterns": count,
        "memory before and after (MB)": "{:.0f}, {:.0f}".format(*memory),
        "others' p99 between two parts, one pattern (ms)": 1000 * waits[0],
        "others' p99 between two parts, all different (ms)": 1000 * waits[1],
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
) -> float:
    """Ask for patterns; return how long the readers waited, of 100 times once, in seconds."""
    gaps: list[float] = []

    async def read(program: Program) -> None:
        while True:
            reply = Reply()
            try:
                await program.ask("Tell all.", ENDLESS, reply, min_tokens=ENDLESS)
            finally:
                gaps.extend(other - one for one, other in pairwise(reply.times))

    reading = [asyncio.create_task(read(program)) for program in readers]
    await _tied(asking, patterns, broken)
    for program, task in zip(readers, reading, strict=True):
        await program.stop(task)
    return quantiles(gaps, n=100)[-1] if len(gaps) > 1 else 0.0
