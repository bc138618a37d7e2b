"""The load: people who write to a page or an API, in a process of its own.

    python -m benchmarks.load JOB

A job is a JSON object (`Job`), and so is the last line printed (`Load`). It is a
process of its own so that its work delays no measurement in another, and its
CPU time can be told from the server's, whose cores it shares.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from benchmarks import api, client, jobs, processes
from benchmarks.client import Tab, Turn


@dataclass
class Person:
    """What one person does: the messages in their order, each once the last is answered."""

    messages: list[str]
    #: The controls to move, by their labels.
    controls: dict[str, Any] = field(default_factory=dict)
    #: The person (by place in the job) whose reply must be under way before this one begins.
    after: int | None = None


class Door(NamedTuple):
    """Where a server is asked, and how."""

    url: str
    #: The server's process, or 0 if that is not known.
    pid: int
    #: One of `DOORS`.
    kind: str = "page"
    #: What was asked first, where that is known already.
    config: dict[str, Any] | None = None


@dataclass
class Job:
    """Who writes to a server."""

    door: Door
    people: list[Person]


@dataclass
class Load:
    """What came of it."""

    #: The turns of each person.
    turns: list[list[Turn]]
    #: CPU seconds of the server with all its processes, of this process, and of all others.
    server_cpu: float
    client_cpu: float
    other_cpu: float


#: What is asked first at a door, and who sits there.
DOORS: dict[str, tuple[Callable[[str], Awaitable[Any]], type[Tab | api.Program]]] = {
    "page": (client.config, Tab),
    "api": (api.meet, api.Program),
}


async def run(job: Job) -> Load:
    """Let the people write, all at once."""
    url, pid, kind, config = job.door
    ask, sits = DOORS[kind]
    config = config or await ask(url)
    tabs = [sits(url, config) for _ in job.people]

    async def sit(person: Person, tab: Tab | api.Program) -> list[Turn]:
        if person.after is not None:
            await tabs[person.after].under_way.wait()
        return [await tab.send(message) for message in person.messages]

    try:
        for tab, person in zip(tabs, job.people, strict=True):
            await tab.open()
            for label, value in person.controls.items():
                tab.set(label, value)
        before = _cpu(pid)
        turns = await asyncio.gather(*map(sit, job.people, tabs))
        everyone, server, own = (b - a for a, b in zip(before, _cpu(pid), strict=True))
        return Load(turns, server, own, max(0.0, everyone - server - own))
    finally:
        for tab in tabs:
            tab.close()


def _cpu(pid: int) -> tuple[float, float, float]:
    """Return the CPU seconds of the machine, of the server and of this process until now."""
    return processes.machine_cpu_seconds(), processes.cpu_seconds(pid), time.process_time()


def start(job: Job) -> Load:
    """Run a job in a process of its own and return what came of it.

    Raises:
        RuntimeError: someone was not answered.
    """
    read = jobs.start("load", asdict(job))
    turns = [[Turn(**turn) for turn in turns] for turns in read.pop("turns")]
    return Load(turns, **read)


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job that came as JSON."""
    people = [Person(**person) for person in job.pop("people")]
    return asdict(asyncio.run(run(Job(Door(*job["door"]), people))))


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except client.ReplyError as error:
        sys.exit(f"A message was not answered: {error}")
