"""Many people at all doors at once, each with messages of their own; and the line, one by one.

The likeliest reply in 32 bits depends on its message alone. So each message is asked first with
nobody else there, and has to get the same reply in the crowd, which no other message gets.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.reliability.doors import Door, Empty, Program, Refused, Reply, everyone
from benchmarks.reliability.steps import Found
from benchmarks.reliability.watch import PLACES, WAITING, Server
from benchmarks.scenarios import HEROES
from benchmarks.server import serving

EXACT_APP = ("-m", "benchmarks.exact", "app.py")
VISITORS, REQUESTS, LINE = 200, 2000, 32
#: At least so many are tried.
LEAST_VISITORS, LEAST_REQUESTS, LEAST_LINE = 18, 18, 6
#: Who may wait: as many as by default, but fewer than the visitors, so that some are refused.
MOST_WAITING, PARALLEL = 32, 8
TOKENS = 12
#: Seconds after which somebody who was not refused waits for ever.
LIMIT = 180.0
#: And after which who is not told when asks again.
AGAIN = 1.0
#: Tokens of replies that hold all places.
ENDLESS = 1500


@dataclass
class Seen:
    """What was noticed."""

    wrong: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unkind: Counter[str] = field(default_factory=Counter)
    pushed_back: int = 0
    #: Seconds until a reply was whole, since it was asked for last, and first.
    waits: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)


def load(share: float) -> Found:
    """Ask for everything, and compare."""
    visitors = max(LEAST_VISITORS, round(VISITORS * share))
    requests = max(LEAST_REQUESTS, round(REQUESTS * share))
    waiting = min(MOST_WAITING, visitors // 2)
    flags = ["--model=embedded", f"--max-waiting={waiting}", f"--parallel={PARALLEL}"]
    with serving(EXACT_APP, flags, None) as server:
        watched = Server(server.url, server.pid)
        return asyncio.run(_load(watched, visitors, requests, waiting, share))


async def _load(server: Server, visitors: int, requests: int, waiting: int, share: float) -> Found:
    expected = await _alone(server.url, requests)
    seen = Seen()
    doors = await everyone(server.url, visitors)
    messages = [*expected]
    parts = (messages[number::visitors] for number in range(visitors))
    visits = (_visit(door, part, expected, seen) for door, part in zip(doors, parts, strict=True))
    await asyncio.gather(*visits)
    left = await server.idle(5)
    standing = doors[: min(waiting, max(LEAST_LINE, round(LINE * share)))]
    overtaken = await _line(server, standing)
    for door in doors:
        await door.close()
    await server.close()
    figures: dict[str, float | str] = {
        "visitors": visitors,
        "requests": len(expected),
        "whole and its own": len(seen.waits) - seen.wrong,
        "refused and asked again": seen.refused,
        "longest wait for a reply (s)": max(seen.waits, default=0),
        "longest time of asking again (s)": max(seen.asked, default=0),
        "in line, one by one": len(standing),
    }
    broken = [
        (seen.wrong, f"{seen.wrong} replies were another message's, or cut."),
        (seen.failed, f"Not answered: {dict(seen.failed)}."),
        (seen.unkind, f"Refusals that say too little: {dict(seen.unkind)}."),
        (seen.pushed_back, f"{seen.pushed_back} people in line were told a place further back."),
        (overtaken, f"{overtaken} people in line were overtaken."),
        (left >= 5, "Requests were left when all were answered."),
    ]
    return Found(figures, [sentence for found, sentence in broken if found])


async def _alone(url: str, requests: int) -> dict[str, str]:
    """Return messages with the replies that they get when nobody else asks, all different."""
    program, dice = Program(url, stream=False), random.Random(7)
    replies: dict[str, str] = {}
    while len(replies) < requests:
        nonce, hero = dice.randrange(10**5, 10**6), dice.choice(HEROES)
        message = f"Repeat the number {nonce}, then tell of {hero}."
        with suppress(Empty):
            await program.ask(message, TOKENS, reply := Reply())
        if reply.text and reply.text not in replies.values():
            replies[message] = reply.text
    await program.close()
    return replies


async def _visit(door: Door, messages: list[str], expected: dict[str, str], seen: Seen) -> None:
    for message in messages:
        began = time.monotonic()
        try:
            reply = await _answered(door, message, seen)
        except TimeoutError:
            seen.failed[f"no reply within {LIMIT:.0f} s"] += 1
            continue
        except Exception as error:
            seen.failed[f"{type(error).__name__}: {error}"] += 1
            continue
        seen.asked.append(time.monotonic() - began)
        seen.wrong += reply.text.strip() != expected[message].strip()
        seen.pushed_back += any(other > one for one, other in pairwise(reply.places))


async def _answered(door: Door, message: str, seen: Seen) -> Reply:
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                await door.ask(message, TOKENS, reply := Reply())
        except Refused as refused:
            if "queue is full" not in str(refused):
                raise
            seen.refused += 1
            program = isinstance(door, Program)
            if program and not (refused.status == 429 and refused.after):
                seen.unkind[f"{refused.status}, after {refused.after}: {refused}"] += 1
            await asyncio.sleep(refused.after or AGAIN)
        else:
            seen.waits.append(time.monotonic() - began)
            return reply


async def _line(server: Server, doors: Sequence[Door]) -> int:
    """Have people come one by one while all places are taken, and then free one place.

    Returns how many got their reply before somebody who had come earlier.
    """
    places = int((await server.figures())[PLACES])
    holders = [Program(server.url, stream=True) for _ in range(places)]
    holding = [
        asyncio.create_task(one.ask("Tell it all.", ENDLESS, Reply(), min_tokens=ENDLESS))
        for one in holders
    ]
    while await server.at_work() < places:
        await asyncio.sleep(0.01)
    came: list[int] = []

    async def stand(number: int, door: Door) -> None:
        await door.ask(f"Who is number {number}?", 2, Reply())
        came.append(number)

    standing = []
    async with asyncio.timeout(LIMIT):
        for number, door in enumerate(doors):
            standing.append(asyncio.create_task(stand(number, door)))
            while (await server.figures())[WAITING] < len(standing) and not standing[-1].done():
                await asyncio.sleep(0.005)
        await holders[0].stop(holding[0])
        await asyncio.gather(*standing)
    for holder, task in zip(holders, holding, strict=True):
        await holder.stop(task)
        await holder.close()
    return sum(one > other for one, other in pairwise(came))
