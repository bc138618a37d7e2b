"""People who chat for hours: pages are opened anew, conversations grow long, with code and all.

The KV cache is full before they come: its growth is no leak, and may take half an hour. From time
to time everybody pauses, and the same few ask the same: so what is compared is the server, and not
the lengths that conversations have by then.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import httpx2

from benchmarks import client, processes
from benchmarks.client import ReplyError, Tab
from benchmarks.reliability.doors import Program, Refused, Reply
from benchmarks.reliability.steps import Found
from benchmarks.reliability.watch import Server, fill, held
from benchmarks.server import APP, serving

SECONDS, PEOPLE, TURNS = 2 * 3600, 16, 200
#: Of a share so small that it is tried in a suite: that share, the seconds, and the turns.
SMALL, BRIEF, FEW = 0.02, 6.0, 4
#: The part of the time after which memory may not grow any more, ten minutes of two hours, and
#: how often all pause.
WARM, PROBES = 1 / 12, 40
#: People who ask the same in each pause, and for how many tokens.
ASKING, TOKENS = 4, 48
MEASURED: dict[str, Any] = {"min_tokens": TOKENS, "stream_options": {"include_usage": True}}
#: How much memory may grow, and how much slower replies may come at the end than at the start.
MORE_MEMORY, SLOWER = 1.05, 1.1
#: Tokens of a turn, and turns after which a page is opened anew.
TURN, REOPENED = 48, 12
#: Words of each text that fills the KV cache beforehand.
READ = 3000
#: Seconds for any reply.
LIMIT = 300.0
TASKS = (
    "Write a Python function that sorts {}.",
    "Give the formula for the area of {} in LaTeX, between $$ and $$.",
    "Make a table of three facts about {}.",
    "Go on about {}.",
)
THINGS = ("circles", "trees", "lists of words", "a triangle", "the planets", "old clocks")
SAID = "The area is $$A = \\pi r^2$$ and in Python:\n\n```python\narea = pi * r**2\n```\n"


class Probe(NamedTuple):
    """What was measured in a pause."""

    after: float
    memory: float
    tokens_per_s: float
    first_token: float


NOTHING = Probe(0.0, 0.0, 0.0, 0.0)


@dataclass
class Life:
    """What all share."""

    ends: float
    #: Turns of a conversation, at most.
    most: int
    turns: int = 0
    reopened: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    probes: list[Probe] = field(default_factory=list)


class Pauses:
    """Lets one measure while nobody asks."""

    def __init__(self) -> None:
        self._asking = 0
        self._quiet = asyncio.Condition()
        self._paused = False

    async def __aenter__(self) -> None:
        """Begin to ask, once there is no pause."""
        async with self._quiet:
            await self._quiet.wait_for(lambda: not self._paused)
            self._asking += 1

    async def __aexit__(self, *_: object) -> None:
        """Have been answered."""
        async with self._quiet:
            self._asking -= 1
            self._quiet.notify_all()

    async def pause(self) -> None:
        """Wait until all are answered; nobody asks until `go_on`."""
        async with self._quiet:
            self._paused = True
            await self._quiet.wait_for(lambda: not self._asking)

    async def go_on(self) -> None:
        """Let them ask again."""
        async with self._quiet:
            self._paused = False
            self._quiet.notify_all()


def soak(share: float) -> Found:
    """Have people chat for so long, and compare the beginning with the end."""
    seconds = SECONDS * share if share > SMALL else BRIEF
    flags = ["--model=embedded", "--keep-seconds=2"]
    with serving(APP, flags, None) as server:
        return asyncio.run(_soak(Server(server.url, server.pid), seconds))


async def _soak(server: Server, seconds: float) -> Found:
    config = await client.config(server.url)
    if seconds > BRIEF:
        reader = Program(server.url, stream=False)
        await fill(server.pid, lambda text: reader.ask(text, 1, Reply()), READ)
        await reader.close()
    began, pauses = time.monotonic(), Pauses()
    life = Life(began + seconds, TURNS if seconds > BRIEF else FEW)
    people = [
        asyncio.create_task(_live(server.url, config, number, life, pauses))
        for number in range(PEOPLE)
    ]
    while time.monotonic() < life.ends:
        await asyncio.sleep(min(seconds / PROBES, max(1.0, seconds / 8)))
        await pauses.pause()
        await _probe(server, time.monotonic() - began, life)
        await pauses.go_on()
    await asyncio.gather(*people)
    left = await server.idle(5)
    await server.close()
    return found(life, seconds, left, held(server.pid).threads)


def found(life: Life, seconds: float, left: float, threads: int) -> Found:
    """Compare what was measured first with what was last; requests were `left` for so long."""
    later = [probe for probe in life.probes if probe.after >= seconds * WARM]
    later = later or life.probes or [NOTHING]
    third = max(1, len(later) // 3)
    first, last = later[:third], later[-third:]
    memory = _median(last, "memory") / _median(first, "memory")
    slower = _median(first, "tokens_per_s") / _median(last, "tokens_per_s")
    waits = _median(last, "first_token") / _median(first, "first_token")
    figures: dict[str, float | str] = {
        "seconds": seconds,
        "people": PEOPLE,
        "turns": life.turns,
        "pages opened anew": life.reopened,
        "pauses in which it was measured": len(life.probes),
        "memory, beginning and end (MB)": _pair(first, last, "memory"),
        "tokens/s, beginning and end": _pair(first, last, "tokens_per_s"),
        "first token, beginning and end (s)": _pair(first, last, "first_token"),
        "threads at the end": threads,
    }
    # A few seconds say nothing of hours: then only what is wrong at once counts.
    judged = seconds > BRIEF
    broken = [
        (life.failed, f"Not answered: {dict(life.failed)}."),
        (left >= 5, "Requests were left when all had gone."),
        (not life.turns, "Nobody was answered."),
        (not life.probes, "It was never measured."),
        (judged and memory > MORE_MEMORY, f"The memory grew by {memory - 1:.1%}."),
        (judged and slower > SLOWER, f"Tokens came {slower - 1:.0%} slower at the end."),
        (judged and waits > SLOWER, f"First tokens came {waits - 1:.0%} later at the end."),
    ]
    return Found(figures, [sentence for wrong, sentence in broken if wrong])


def _median(probes: Sequence[Probe], name: str) -> float:
    return median(getattr(probe, name) for probe in probes) or 1e-9


def _pair(first: Sequence[Probe], last: Sequence[Probe], name: str) -> str:
    return f"{_median(first, name):.3g}, {_median(last, name):.3g}"


async def _probe(server: Server, after: float, life: Life) -> None:
    """Measure the same few replies as each time; one that fails is noted in place of that."""
    memory = processes.pss(server.pid)
    programs = [Program(server.url, stream=True) for _ in range(ASKING)]
    replies = [Reply() for _ in programs]
    began = time.perf_counter()
    asking = (
        _answered(program, f"Count up from {number}.", reply, life)
        for number, (program, reply) in enumerate(zip(programs, replies, strict=True))
    )
    answered = await asyncio.gather(*asking)
    took = time.perf_counter() - began
    for program in programs:
        await program.close()
    if all(answered):
        first = median(reply.first - began for reply in replies)
        tokens = sum(reply.tokens for reply in replies)
        life.probes.append(Probe(after, memory, tokens / took, first))


async def _answered(program: Program, message: str, reply: Reply, life: Life) -> bool:
    """Return whether it is answered, with as many tokens as it has to be."""
    try:
        async with asyncio.timeout(LIMIT):
            await program.ask(message, TOKENS, reply, **MEASURED)
    except (Refused, TimeoutError, httpx2.HTTPError) as error:
        life.failed[f"in a pause: {type(error).__name__}: {error}"] += 1
        return False
    if reply.tokens != TOKENS:
        life.failed[f"in a pause: a reply of {reply.tokens} tokens, not {TOKENS}"] += 1
    return reply.tokens == TOKENS


async def _live(url: str, config: dict[str, Any], number: int, life: Life, pauses: Pauses) -> None:
    """Chat until the end: with a conversation that has some turns already, as others have."""
    dice = random.Random(number)
    turns, tab = life.most * number // PEOPLE, None
    history = _history(turns)
    while time.monotonic() < life.ends:
        if tab is None or turns % REOPENED == REOPENED - 1:
            if tab:
                history = tab.history
                tab.close()
                life.reopened += 1
            tab = Tab(url, config)
            tab.history = history
            await tab.open()
            tab.set("Max new tokens", TURN)
        if turns >= life.most:  # a new chat
            turns, tab.history = 0, []
        message = dice.choice(TASKS).format(dice.choice(THINGS))
        async with pauses:
            if time.monotonic() >= life.ends:
                break
            try:
                async with asyncio.timeout(LIMIT):
                    await tab.send(message)
                life.turns += 1
            except (ReplyError, Refused) as error:
                life.failed[str(error)] += 1
            except TimeoutError:
                life.failed[f"no reply within {LIMIT:.0f} s"] += 1
        turns += 1
    if tab:
        tab.close()


def _history(turns: int) -> list[dict[str, Any]]:
    """Return a conversation of so many turns."""
    return [
        {
            "role": role,
            "content": [{"type": "text", "text": text}],
            "metadata": None,
            "options": None,
        }
        for turn in range(turns)
        for role, text in (("user", f"Part {turn}?"), ("assistant", SAID))
    ]
