"""One run: the model alone, then the servers side by side, one measurement after the other.

All servers are up all the time and only one is asked at a time, so that what
else the machine does meets all alike.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks import alone, api, bare, drawn, load, processes
from benchmarks.client import Turn
from benchmarks.figures import Figures
from benchmarks.load import Door, Job, Person
from benchmarks.scenarios import Measure, Scenarios, Size
from benchmarks.server import APP, BASELINE, Server, serving

#: How many people the engine is asked by without a server, to compare with the page.
ALONE = (1, 8)
#: Seconds in which a server has nothing to do, to see what it does then.
IDLE = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run consists of."""

    size: Size
    #: Flags that the app is started with.
    flags: list[str]
    baseline: bool = False
    bare: bool = False
    engine_only: bool = False
    quick: bool = False
    port: int | None = None
    #: Where another server's API is, which is asked as the app's is, and its model.
    against: str = ""
    against_model: str = ""
    #: What `api.meet` has found there.
    other: dict[str, Any] = field(default_factory=dict)
    #: Whether the app is asked by its API too.
    api: bool = False


def meet(plan: Plan) -> Plan:
    """Say hello to the other server, before what takes minutes; return the plan with what it said.

    Raises:
        ReplyError: it did not answer.
    """
    if not plan.against:
        return plan
    asked = api.meet(plan.against, plan.against_model, api.THEIR_KEYS)
    return replace(plan, other=asyncio.run(asked))


def once(plan: Plan, turn: int, say: Say) -> dict[str, Figures]:
    """Measure everything once; returns the figures of each part that was measured.

    Raises:
        RuntimeError, ReplyError: something did not start, or did not answer.
    """
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as servers:
        users = plan.size.users
        if not plan.engine_only:
            users = tuple(count for count in users if count in ALONE)
        say("the model alone")
        tokenizer = Path(scratch, "tokenizer.json")
        results["alone"] = alone.start(users, plan.size.tokens, tokenizer, plan.flags)
        if plan.bare:
            say("model.generate alone")
            results["bare"] = bare.start(plan.size.tokens, plan.flags)
        if plan.engine_only:
            return results
        programs = {"app": APP, "baseline": BASELINE} if plan.baseline else {"app": APP}
        doors: dict[str, Door] = {}
        for name, program in programs.items():
            say(f"{name}: start")
            port = plan.port if name == "app" else None
            server = servers.enter_context(serving(program, plan.flags, port))
            doors[name], results[name] = Door(server.url, server.pid), start_up(server)
        for name, door in doors.items():
            results[name]["idle_cpu_percent"] = idle(door)
        if plan.api or plan.against:
            url = api.base(doors["app"].url)
            doors["api"] = Door(url, doors["app"].pid, "api", asyncio.run(api.meet(url)))
            results["api"] = {}
        if plan.against:
            other = processes.listening(plan.against)
            doors["against"] = Door(plan.against, other, "api", plan.other)
            results["against"] = {}
            hello(doors["against"])  # it may have slept meanwhile
        scenarios = Scenarios(plan.size, Tokenizer.from_file(str(tokenizer)))
        order = list(doors.items())[:: -1 if turn % 2 else 1]
        for measure in scenarios.each():
            for name, door in order:
                say(f"{name}: {title(measure)}")
                results[name] |= measure(door)
                if door.pid:
                    results[name] |= memory(door, results[name])
    return results


def prepare(plan: Plan) -> None:
    """Start everything once, so that what is measured afterwards converts and fetches nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        alone.start((), 0, Path(scratch, "tokenizer.json"), plan.flags)
    if plan.bare:
        bare.start(1, plan.flags)


def start_up(server: Server) -> Figures:
    """Return how long the start took, until the page and until the first token of an answer."""
    turn = hello(Door(server.url, server.pid))
    return {"start_page_s": server.page, "start_first_token_s": turn.updates[0][0] - server.began}


def hello(door: Door) -> Turn:
    """Have somebody say hello, which warms a server up; return what came of it."""
    ((turn,),) = asyncio.run(load.run(Job(door, [Person(["Hello!"], drawn.controls(4))]))).turns
    return turn


def idle(server: Door) -> float:
    """Return how much of one core a server uses that has nothing to do, in percent."""
    before = processes.cpu_seconds(server.pid)
    time.sleep(IDLE)
    return 100 * (processes.cpu_seconds(server.pid) - before) / IDLE


def memory(server: Door, before: Figures) -> Figures:
    """Return the most memory that was seen until now; none where it cannot be read."""
    seen = {"peak_rss_mb": processes.peak_rss(server.pid), "peak_pss_mb": processes.pss(server.pid)}
    return {name: max(value, before.get(name) or 0) or None for name, value in seen.items()}


def title(measure: Measure) -> str:
    """Return what a measurement is called."""
    function = getattr(measure, "func", measure)
    return " ".join([function.__name__, *map(str, getattr(measure, "args", ()))])
