"""What an update costs the server: of the page, and of an API's stream.

    python -m benchmarks.updates [--streams 1,8,32,100] [--seconds 10] [--interval 0.04]

A server without a model has replies grow by a token every 10 ms, with the embedded model's
tokenizer. So many people read them at once, in a process of their own. Per number of streams:
how many updates a second they get, one of them and all together, and the CPU milliseconds that
the server takes for each, and its bytes, with all that is around it. With `--interval` the pause
between two updates is the same for any number of streams.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from benchmarks import load, processes
from benchmarks.load import Door, Job, Person
from benchmarks.server import serving
from benchmarks.wire import Wire
from chat.core import chat as core
from chat.core.engine import State
from chat.core.gate import Gate
from chat.core.sampling import Sampling

#: Seconds that a token takes.
PACE = 0.01
TEXT = "The keeper of the old lighthouse counted the waves, and wrote each of them down. "


class Paced:
    """An engine that says the same words to everybody, at the same pace."""

    parallel = 1000
    supports: frozenset[str] = frozenset()
    state: State = "ready"

    def __init__(self, ids: Sequence[int], window: int, stop_ids: frozenset[int]) -> None:
        self._ids = ids
        self.window = window
        self.stop_ids = stop_ids

    async def admit(self, sampling: Sampling) -> None:
        """Take everything."""

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """Give what is due when somebody looks."""
        began, given = time.monotonic(), 0
        while given < sampling.max_new_tokens:
            due = min(int((time.monotonic() - began) / PACE), sampling.max_new_tokens)
            if due == given:
                await asyncio.sleep(began + (given + 1) * PACE - time.monotonic())
                continue
            yield [self._ids[place % len(self._ids)] for place in range(given, due)]
            given = due

    def close(self) -> None:
        """Have nothing to give back."""


def serve(arguments: list[str], text: str = TEXT) -> None:
    """Serve the page with that engine, which says this again and again."""
    from chat.load import load
    from chat.settings import read
    from chat.web.page import page
    from chat.web.serve import launch

    if arguments[:1] == ["--interval"]:
        core.INTERVAL = core.LONGEST = float(arguments[1])
        arguments = arguments[2:]
    settings = read(arguments)
    chat = load(settings)
    chat.engine.close()
    ids = chat.tokens.encode([text])
    chat.engine = Paced(ids, chat.engine.window, chat.engine.stop_ids)
    chat.gate = Gate(chat.engine.parallel, settings.max_waiting)
    launch(page.build(chat, settings), settings)


class Came(NamedTuple):
    """What came of so many replies."""

    updates: int
    #: The server's.
    cpu_seconds: float
    #: Of all events.
    bytes: int


def of_page(url: str, pid: int, streams: int, tokens: int) -> Came:
    """Have replies come to so many pages."""
    controls = {"Max new tokens": tokens}
    came = load.start(Job(Door(url, pid), [Person(["Count the waves."], controls)] * streams))
    turns = [turn for (turn,) in came.turns]
    updates, size = sum(len(turn.updates) for turn in turns), sum(turn.bytes for turn in turns)
    return Came(updates, came.server_cpu, size)


async def _read(wire: Wire, tokens: int) -> int:
    body = {
        "messages": [{"role": "user", "content": "Count the waves."}],
        "max_tokens": tokens,
        "stream": True,
    }
    count = 0
    async with aclosing(wire.events("/v1/chat/completions", body)) as events:
        async for _ in events:
            count += 1
    return count


def of_api(url: str, pid: int, streams: int, tokens: int) -> Came:
    """Have replies come to so many programs."""

    async def read() -> tuple[int, int]:
        wires = [Wire(url) for _ in range(streams)]
        try:
            events = await asyncio.gather(*(_read(wire, tokens) for wire in wires))
        finally:
            for wire in wires:
                wire.close()
        return sum(events), sum(wire.received for wire in wires)

    before = processes.cpu_seconds(pid)
    events, size = asyncio.run(read())
    return Came(events, processes.cpu_seconds(pid) - before, size)


def main(arguments: list[str]) -> None:
    """Measure, and print a line for each number of streams, and all of it as JSON."""
    if arguments[:1] == ["serve"]:
        serve(arguments[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", default="1,8,32,100", help="how many at once, in turn")
    parser.add_argument("--seconds", type=float, default=10, help="how long a reply takes")
    parser.add_argument("--interval", help="seconds between two updates, however many streams")
    chosen = parser.parse_args(arguments)
    flags = ["--model", "embedded", "--max-waiting", "1000"]
    fixed = ["--interval", chosen.interval] if chosen.interval else []
    found = []
    with serving(("-m", "benchmarks.updates", "serve", *fixed), flags, None) as server:
        tokens = int(chosen.seconds / PACE)
        of_page(server.url, server.pid, 1, 100)  # once, so that all is imported
        for streams in map(int, chosen.streams.split(",")):
            for name, measure in (("page", of_page), ("api", of_api)):
                came = measure(server.url, server.pid, streams, tokens)
                a_second = came.updates / chosen.seconds
                figures = {
                    "streams": streams,
                    "updates_a_second_each": round(a_second / streams, 1),
                    "updates_a_second": round(a_second),
                    "cpu_ms_an_update": round(1000 * came.cpu_seconds / came.updates, 2),
                    "bytes_an_update": round(came.bytes / came.updates),
                }
                print(f"{name:5}", *(f"{key} {value}" for key, value in figures.items()))
                found.append({"of": name, **figures})
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
