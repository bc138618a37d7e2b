"""All points of failure, each so many times."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.reliability.faults import processes, replies, starts, stops
from benchmarks.reliability.faults.house import House
from benchmarks.reliability.faults.tried import Tried
from benchmarks.reliability.steps import Found
from chat.errors import describe

#: How often each is tried.
TIMES = 40
#: Those that take a whole start or more, and are left out where each is tried but once.
DEAR = {
    *("SIGTERM while idle", "SIGTERM while reading", "SIGTERM while draining"),
    *("disk full at conversion", "disk full at key", "damaged cache", "damaged folder"),
    *("damaged key", "two starts at once", "worker hung"),
}


def run(share: float) -> Found:
    """Try each point, and say point by point what was seen."""
    return asyncio.run(_run(math.ceil(TIMES * share)))


async def _run(times: int) -> Found:
    found: dict[str, list[Tried]] = {}
    async with House() as house:
        # At each point another door comes first, so that a small share has them all.
        for place, (name, attempt) in enumerate(replies.POINTS.items()):
            found[name] = [
                await _outcome(attempt(house, place + number)) for number in range(times)
            ]
    for name, start in _alone().items():
        if times > 1 or name not in DEAR:
            found[name] = [await _outcome(start(number)) for number in range(times)]
    if times > 1:
        found["worker hung"] = await processes.hung(times)
    return judged(found)


async def _outcome(attempt: Awaitable[Tried]) -> Tried:
    """Return what came of a try, also of one that itself fails: the others are not lost with it."""
    try:
        return await attempt
    except Exception as error:
        return Tried(0.0, "nothing", [f"the try itself failed ({describe(error)})"])


def _alone() -> dict[str, Callable[[int], Awaitable[Tried]]]:
    """Return the points that have a start of their own."""
    found: dict[str, Callable[[int], Awaitable[Tried]]] = {
        f"SIGTERM while {phase}": partial(stops.stop, phase) for phase in stops.PHASES
    }
    return found | {name: partial(starts.start, name) for name in starts.POINTS}


def judged(found: dict[str, list[Tried]]) -> Found:
    """Return what was found, point by point."""
    broken = [
        f"{name}: {what} ({number} of {len(tries)} times)."
        for name, tries in found.items()
        for what, number in Counter(one for tried in tries for one in tried.wrong).items()
    ]
    return Found({name: _shown(tries) for name, tries in found.items()}, broken)


def _shown(tries: list[Tried]) -> str:
    seen = Counter(tried.seen for tried in tries)
    words = ", ".join(f"{what} {number} times" for what, number in seen.most_common())
    return f"{words}; {max(tried.seconds for tried in tries):.2f} s at worst"
