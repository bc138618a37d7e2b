"""Replies that are given up, at each moment, at each door; and what is left of them.

What is left is told by the server's own figures, by the next reply, which has to be the very one
that was there before, and by what its processes hold at the end.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx2

from benchmarks import client
from benchmarks.reliability.doors import (
    GREEDY,
    Door,
    GradioProgram,
    LostPerson,
    Person,
    Program,
    Refused,
    Reply,
    client_of,
    hang_up,
)
from benchmarks.reliability.load import ENDLESS, EXACT_APP
from benchmarks.reliability.steps import Found
from benchmarks.reliability.teletype import Teletype
from benchmarks.reliability.watch import ABORTED, PLACES, TOKENS, Held, Server, fill, held
from benchmarks.server import serving

EXACT_BACKEND = ("-m", "benchmarks.exact", "chat.backend")
ABORTS, LEAST = 1000, 14
PHASES = ("queued", "reading", "first token", "middle", "last token")
#: Tokens of a reply that is given up, and words of a prompt that takes a while to read.
LENGTH, LONG = 12, 1000
#: Seconds after which nothing may be left: a step of this machine and the time to ask for it; of
#: a tab that has vanished; and after which one that has not ended counts as hung.
STEP, VANISHED, LIMIT = 1.0, 2.0, 20.0
#: So many are given up before anything is compared: pools grow with what was asked so far.
WARM = 40
#: Replies that wait and are given up while the same others are written, which end some time.
QUEUED = 20
#: So that its KV cache is soon full.
WINDOW = "--context-window=4096"
#: Seconds after which connections that are kept for the next request are closed too.
KEPT = 7.0
#: What may be there at the end that was not at the start: threads of pools that grow, and what
#: belongs to the connection that asks; and of the memory, of which allocators keep some.
MORE, MORE_MEMORY = 4, 1.05
#: The part of those given up that must not have ended before, of all, and of each phase and door
#: of which there are so many.
REAL, JUDGED = 0.8, 5
QUESTION = "Tell of a lighthouse, and of who keeps it."


class Backend:
    """A front-end that asks `python -m chat.backend`."""

    def __init__(self, url: str) -> None:
        self._client = client_of(url, {})

    async def ask(self, message: str, tokens: int, reply: Reply) -> None:
        """See `Door`; the ids are the text."""
        body = {
            "prompt": [1 + number % 999 for number in message.encode()],
            "max_tokens": tokens,
            "min_tokens": tokens,
            "stream": True,
            "return_token_ids": True,
            **GREEDY,
        }
        async with self._client.stream("POST", "/v1/completions", json=body) as answer:
            if answer.status_code != 200:
                raise Refused("It was refused.", answer.status_code)
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    return
                if line.startswith("data: {"):
                    ids = json.loads(line.removeprefix("data: "))["choices"][0]["token_ids"]
                    reply.grow(reply.text + "".join(f"{id} " for id in ids))
        raise Refused("The stream broke off.")

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Hang up."""
        await hang_up(asking)

    async def close(self) -> None:
        """See `Door`."""
        await self._client.aclose()


class GradioClient:
    """Gradio's own client of `/chat`."""

    def __init__(self, url: str) -> None:
        from gradio_client import Client

        self._client: Any = Client(url, verbose=False)
        self._job: Any = None

    async def ask(self, message: str, tokens: int, reply: Reply) -> None:
        """See `Door`; each begins a conversation, as at the other doors."""
        self._client.reset_session()
        asked = {"message": message, "max_new_tokens": tokens, "temperature": 0}
        self._job = await asyncio.to_thread(self._client.submit, api_name="/chat", **asked)
        while not self._job.done():
            await asyncio.sleep(0.02)
        with suppress(Exception):  # it is cancelled
            reply.grow(self._job.result()[0])

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Cancel the job."""
        await asyncio.to_thread(self._job.cancel)
        await hang_up(asking)

    async def close(self) -> None:
        """See `Door`."""
        self._client.close()


class Case(NamedTuple):
    """A reply that is given up."""

    door: str
    phase: str


@dataclass
class Noted:
    """What was noticed."""

    #: The longest until idle, by the door.
    took: dict[str, float] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)
    #: How many were asked for, to give them up; and how many of those the server did end early.
    tried: Counter[Case] = field(default_factory=Counter)
    real: Counter[Case] = field(default_factory=Counter)


class Site(NamedTuple):
    """A server, and who asks it."""

    server: Server
    doors: dict[str, Door]
    #: Who asks for what is to be the same.
    other: Door


def aborts(share: float) -> Found:
    """Give up replies, and see what is left."""
    count = max(LEAST, round(ABORTS * share))
    model = "--model=embedded"
    starts = [(EXACT_APP, [model, WINDOW, "--keep-seconds=0"]), (EXACT_BACKEND, [model, WINDOW])]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        typing = pool.submit(stack.enter_context, Teletype())
        path = ("", "/health")
        started = [
            pool.submit(stack.enter_context, serving(program, flags, None, path[place]))
            for place, (program, flags) in enumerate(starts)
        ]
        page, backend = (one.result() for one in started)
        terminal = typing.result()
        return asyncio.run(
            _aborts(count, Server(page.url, page.pid), Server(backend.url, backend.pid), terminal)
        )


async def _aborts(count: int, page: Server, backend: Server, terminal: Teletype) -> Found:
    config = await client.config(page.url)
    sites = [
        Site(
            page,
            {
                "Stop in the page": Person(page.url, config),
                "tab vanished": LostPerson(page.url, config),
                "Gradio's client": await asyncio.to_thread(GradioClient, page.url),
                "Gradio over HTTP": GradioProgram(page.url, config),
                "API, streamed": Program(page.url, stream=True),
                "API, whole": Program(page.url, stream=False),
            },
            Program(page.url, stream=False),
        ),
        Site(backend, {"chat.backend": Backend(backend.url)}, Backend(backend.url)),
    ]
    names = [*(name for site in sites for name in site.doors), "terminal"]
    # 8 doors and 5 phases have no divisor in common: all pairs come up in turn.
    cases = [Case(names[at % len(names)], PHASES[at % len(PHASES)]) for at in range(count)]
    noted = Noted()
    figures: dict[str, float | str] = {"aborts": count}
    for site in sites:
        mine = [case for case in cases if case.door in site.doors]
        before, after = await _site(site, mine, noted)
        where = "page's server" if site is sites[0] else "backend"
        for name, one, other in zip(Held._fields, before, after, strict=True):
            figures[f"{name} of the {where}, before and after"] = f"{one:.0f}, {other:.0f}"
    mine = [case for case in cases if case.door == "terminal" and case.phase != "queued"]
    noted.tried.update(mine)
    stopped: list[str] = []
    try:
        await asyncio.to_thread(
            terminal.aborts, [case.phase for case in mine], noted.took, noted.broken, stopped
        )
    except TimeoutError as error:
        noted.broken[f"terminal: it hung. {error}"] += 1
    noted.real.update(Case("terminal", phase) for phase in stopped)
    figures |= in_time(noted)
    figures |= {
        f"longest until idle, {name} (s)": round(one, 2) for name, one in noted.took.items()
    }
    told = [f"{sentence} ({times} times)" for sentence, times in noted.broken.items()]
    return Found(figures, told)


def in_time(noted: Noted) -> dict[str, float | str]:
    """Return how many the server ended early, and note where those are few: no abort was tried."""
    tried, real = _summed(noted.tried), _summed(noted.real)
    for name, number in tried.items():
        if real[name] < REAL * number and (name == "all" or number >= JUDGED):
            noted.broken[
                f"Given up too late: only {real[name]} of {number} ended early ({name})."
            ] = 1
    shown = ["all", *PHASES, *dict.fromkeys(case.door for case in noted.tried)]
    return {
        f"given up in time, {name}": f"{real[name]} of {tried[name]}"
        for name in shown
        if tried[name]
    }


def _summed(counted: Counter[Case]) -> Counter[str]:
    """Return the same of all, by phase, by door, and by both."""
    summed: Counter[str] = Counter()
    for case, number in counted.items():
        for name in ("all", case.phase, case.door, ": ".join(case)):
            summed[name] += number
    return summed


async def _site(site: Site, cases: Sequence[Case], noted: Noted) -> tuple[Held, Held]:
    """Give up replies at one server; return what it held before and afterwards."""
    await site.other.ask(QUESTION, LENGTH, whole := Reply())
    if not whole.text:
        noted.broken["What others are compared with has no text."] += 1
    # Once all over, so that its pools have grown.
    judged = len(cases) > 2 * WARM
    if judged:
        await fill(site.server.pid, lambda text: site.other.ask(text, 1, Reply()), LONG)
    warming = cases[:WARM] if judged else [*{case.door: case for case in cases}.values()]
    await _all(site, warming, Noted(noted.took, noted.broken), whole.text)
    before = held(site.server.pid)
    await _all(site, cases, noted, whole.text)
    after = await _settled(site, before)
    for name, one, other in zip(Held._fields[:3], before, after, strict=False):
        if other > one + MORE:
            noted.broken[f"{name} grew from {one:.0f} to {other:.0f}."] += 1
    if judged and after.memory > before.memory * MORE_MEMORY:
        noted.broken[f"The memory grew from {before.memory:.0f} to {after.memory:.0f} MB."] += 1
    return before, after


async def _all(site: Site, cases: Sequence[Case], noted: Noted, expected: str) -> None:
    for case in (case for case in cases if case.phase != "queued"):
        await _give_up(site, case, noted, expected)
    queued = [case for case in cases if case.phase == "queued"]
    for first in range(0, len(queued), QUEUED):
        await _queued(site, queued[first : first + QUEUED], noted, expected)


async def _settled(site: Site, before: Held) -> Held:
    """Return what a server holds once connections that nobody uses are closed."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + KEPT
    while (after := held(site.server.pid)).sockets > before.sockets and loop.time() < ends:
        await asyncio.sleep(0.2)
    return after


async def _queued(site: Site, cases: Sequence[Case], noted: Noted, expected: str) -> None:
    """Give up replies that wait, while others have all places."""
    places = int((await site.server.figures())[PLACES])
    asking = []
    for _ in range(places):
        ask = site.other.ask
        asking.append(asyncio.create_task(ask("Tell it all, at length.", ENDLESS, Reply())))
    while await site.server.at_work() < places:
        await asyncio.sleep(0.01)
    for case in cases:
        await _give_up(site, case, noted, "", others=places)
    for task in asking:
        await hang_up(task)
    await site.server.idle(LIMIT)
    await _same(site, Case("all", "queued"), noted.broken, expected)


async def _give_up(site: Site, case: Case, noted: Noted, expected: str, others: int = 0) -> None:
    """Give up one reply in a phase; note how long until it is gone, and whether the next is right.

    `others` are answered meanwhile.
    """
    door, server = site.doors[case.door], site.server
    message = QUESTION if case.phase != "reading" else " ".join(["all of it"] * (LONG // 3))
    broken = noted.broken
    before = await server.figures()
    asking = asyncio.create_task(door.ask(message, LENGTH, Reply()))
    wanted = {"first token": 1, "middle": LENGTH // 2, "last token": LENGTH - 1}.get(case.phase, 0)
    try:
        async with asyncio.timeout(LIMIT):
            while not asking.done():
                found = await server.figures()
                there = found["vllm:num_requests_running"] + found["vllm:num_requests_waiting"]
                if there > others and (others or found[TOKENS] - before[TOKENS] >= wanted):
                    break
                await asyncio.sleep(0.01)
            await door.stop(asking)
    except TimeoutError:
        broken[f"{case.door}, {case.phase}: it hung."] += 1
        await hang_up(asking)
    except Exception as error:
        broken[f"{case.door}, {case.phase}: {type(error).__name__}: {error}."] += 1
    limit = VANISHED if case.door == "tab vanished" else STEP
    seconds = await server.idle(LIMIT, others)
    # The server is asked, since nobody here knows whether it had ended on the way.
    noted.tried[case] += 1
    noted.real[case] += (await server.figures())[ABORTED] > before[ABORTED]
    noted.took[case.door] = max(noted.took.get(case.door, 0), seconds)
    if seconds > limit:
        broken[f"{case.door}, {case.phase}: it went on for more than {limit:.0f} s."] += 1
    if not others:
        await _same(site, case, broken, expected)


async def _same(site: Site, case: Case, broken: Counter[str], expected: str) -> None:
    try:
        async with asyncio.timeout(LIMIT):
            await site.other.ask(QUESTION, LENGTH, reply := Reply())
    except (TimeoutError, Refused, httpx2.HTTPError) as error:
        said = f"{type(error).__name__}: {error}"
        broken[f"{case.door}, {case.phase}: the next was not answered ({said})."] += 1
        return
    if reply.text != expected:
        broken[f"{case.door}, {case.phase}: the next reply was another one."] += 1
