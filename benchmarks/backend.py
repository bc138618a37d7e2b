"""What it costs to have the engine elsewhere: over HTTP, behind a page, behind a balancer.

    python -m benchmarks.backend [--people 8] [--tokens 150] [--rounds 5] [-- flags of the app]

All ways are there at once and are measured in turn, so that what else the machine does meets all
alike; a ratio is the median of those of the rounds. Clients share the cores with the servers. What
a way costs of a CPU, engine and all, says on a machine that is busy more than its rate does.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from tokenizers import Tokenizer

from benchmarks import machine, scenarios, server
from benchmarks.load import Door
from benchmarks.processes import cpu_seconds
from benchmarks.scenarios import Scenarios, Size
from benchmarks.server import Server
from benchmarks.table import show, table
from benchmarks.wire import Wire

if TYPE_CHECKING:
    from chat.core.chat import Chat

BACKEND = ("-m", "chat.backend")
BALANCER = """
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    # Without it, what is little waits 200 ms for more.
    option http-no-delay
listen backends
    bind 127.0.0.1:{port}
    balance hdr(x-session-id)
    server one {server}
"""
#: The ways to a reply, and over which each is counted.
ALONE, HTTP = "the engine alone", "the backend over HTTP"
PAGE, APART, BALANCED = "all in one, by the page", "page and backend", "page, HAProxy, backend"
OVER = {HTTP: ALONE, APART: PAGE, BALANCED: PAGE}

#: How often it is measured when the first token comes, in each round.
FIRSTS = 3


class Found(NamedTuple):
    """What one way was like in one round."""

    rate: float
    #: CPU milliseconds a token, of all that serves.
    cpu: float
    #: Milliseconds of one person, with nobody beside; of the engine itself it is not counted.
    first_token: float = 0.0


def main() -> None:
    """Measure, and print a table and the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backend")
    parser.add_argument("--people", type=int, default=8, help="how many ask at once")
    parser.add_argument("--tokens", type=int, default=150, help="tokens of a reply")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked")
    parser.add_argument("flags", nargs="*", metavar="-- flags", help="flags of the app")
    chosen = parser.parse_args()
    head = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in head.items()), flush=True)
    if not shutil.which("haproxy"):
        print(f"Without haproxy there is no: {BALANCED}")
    rounds = measured(chosen)
    rows = [_row(rounds, way) for way in rounds[0]]
    heads = ("tokens/s", "times", "CPU ms/token", "times", "over", "first token, ms", "later by")
    print(table(("way", *heads), rows))
    print(json.dumps({"machine": head, "rounds": [_plain(one) for one in rounds]}))


def measured(chosen: argparse.Namespace) -> list[dict[str, Found]]:
    """Return what each way was like, round by round."""
    from chat.load import load
    from chat.settings import read

    flags = ["--context-window=2048", f"--parallel={chosen.people}", *chosen.flags]
    with ExitStack() as ending:
        chat = load(read(flags))
        ending.callback(chat.engine.close)
        tokenizer: Tokenizer = chat.tokens.backend  # type: ignore[attr-defined]
        size = Size(users=(1, chosen.people), tokens=chosen.tokens)
        asked = Scenarios(size, tokenizer)
        backend = ending.enter_context(server.serving(BACKEND, flags, None, "/live"))
        balancer = 0
        pages = {PAGE: ending.enter_context(server.serving(server.APP, flags, None))}
        urls = {APART: backend.url}
        if shutil.which("haproxy"):
            urls[BALANCED], balancer = ending.enter_context(balancing(backend))
        for way, url in urls.items():
            front = [*flags, "--engine=server", f"--server-url={url}"]
            pages[way] = ending.enter_context(server.serving(server.APP, front, None))
        rounds, behind = [], {APART: [backend.pid], BALANCED: [backend.pid, balancer]}
        for number in range(chosen.rounds + 1):  # in the first one caches are filled
            rounds.append(_round(chosen, chat, backend, pages, behind, asked))
            print(f"... round {number} of {chosen.rounds}", file=sys.stderr, flush=True)
        return rounds[1:]


@contextmanager
def balancing(backend: Server) -> Iterator[tuple[str, int]]:
    """Run HAProxy before the backend until the end of the block; gives its address and process."""
    port = server.free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(BALANCER.format(port=port, server=backend.url.removeprefix("http://")))
        file.flush()
        process = subprocess.Popen(["haproxy", "-db", "-f", file.name])
        try:
            time.sleep(1.0)  # it says nothing when it is there
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


def _round(
    chosen: argparse.Namespace,
    chat: "Chat",
    backend: Server,
    pages: dict[str, Server],
    behind: dict[str, list[int]],
    asked: Scenarios,
) -> dict[str, Found]:
    """Measure each way once; `behind` are the processes of a way that are not the page's."""
    prompts = [_prompt(chat, user) for user in range(chosen.people)]
    servers = {backend.pid, *(page.pid for page in pages.values()), *behind[BALANCED]}

    def own() -> float:
        children = [child.pid for child in psutil.Process().children()]
        return time.process_time() + sum(map(cpu_seconds, {*children} - servers))

    def of(*pids: int) -> Callable[[], float]:
        return lambda: sum(map(cpu_seconds, pids))

    found = {
        ALONE: _rate(own, [_alone(chat, chosen, one) for one in prompts]),
        HTTP: _rate(of(backend.pid), [_over_http(backend.url, chosen, one) for one in prompts]),
    }
    firsts: dict[str, list[float]] = {way: [] for way in pages}
    quick = replace(asked, size=replace(asked.size, tokens=8))
    for _ in range(FIRSTS):
        for way, page in pages.items():
            one = quick.users(1, Door(page.url, page.pid))["users_1.first_token_ms"]
            firsts[way].append(one or 0.0)
    for way, page in pages.items():
        cpu = of(page.pid, *behind.get(way, []))
        before = cpu()
        name = f"users_{chosen.people}."
        came = asked.users(chosen.people, Door(page.url, page.pid))
        spent = 1000 * (cpu() - before) / (came[f"{name}tokens"] or 1)
        found[way] = Found(came[f"{name}total_tokens_per_s"] or 0.0, spent, median(firsts[way]))
    return found


def _prompt(chat: "Chat", user: int) -> list[int]:
    return scenarios.prompt(chat, scenarios.story_of(user, 3), chat.engine.window // 2)


def _rate(cpu: Callable[[], float], replies: list[Any]) -> Found:
    """Measure replies that are asked for at the same time."""

    async def together() -> int:
        return sum(await asyncio.gather(*replies))

    begun, before = time.perf_counter(), cpu()
    tokens = asyncio.run(together())
    return Found(tokens / (time.perf_counter() - begun), 1000 * (cpu() - before) / tokens)


async def _alone(chat: "Chat", chosen: argparse.Namespace, prompt: list[int]) -> int:
    from chat.core.sampling import Sampling

    length = {"max_new_tokens": chosen.tokens, "min_new_tokens": chosen.tokens}
    sampling = Sampling(**length, temperature=0)
    return len([id async for ids in chat.engine.generate(prompt, sampling) for id in ids])


async def _over_http(url: str, chosen: argparse.Namespace, prompt: list[int]) -> int:
    body = {
        "prompt": prompt,
        "max_tokens": chosen.tokens,
        "min_tokens": chosen.tokens,
        "temperature": 0,
        "stream": True,
        "return_token_ids": True,
    }
    written = 0
    async for event in Wire(url).events("/v1/completions", body):
        written += len(event["choices"][0]["token_ids"])
    return written


def _row(rounds: list[dict[str, Found]], way: str) -> tuple[str, ...]:
    rate, cpu = (show(median(one[way][place] for one in rounds)) for place in (0, 1))
    first = median(one[way].first_token for one in rounds)
    over, times, cheaper, later = OVER.get(way), "", "", ""
    if over:
        times = f"{median(one[way].rate / one[over].rate for one in rounds):.2f}"
        cheaper = f"{median(one[over].cpu / one[way].cpu for one in rounds):.2f}"
    if over and first:
        later = show(median(one[way].first_token - one[over].first_token for one in rounds))
    return way, rate, times, cpu, cheaper, over or "", show(first) if first else "", later


def _plain(found: dict[str, Found]) -> dict[str, dict[str, float]]:
    return {way: {k: round(v, 2) for k, v in one._asdict().items()} for way, one in found.items()}


if __name__ == "__main__":
    main()
