"""What can be seen of a server from outside: its figures, and what its processes hold."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import psutil

from benchmarks import processes
from benchmarks.reliability.doors import Empty, client_of

RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
TOKENS, PLACES = "vllm:generation_tokens_total", "fourbit_parallel"
#: Replies that ended since nobody wanted the rest.
ABORTED = "vllm:request_success_total, abort"

#: Texts that are asked between two looks at whether the KV cache still takes more memory, how much
#: that is, and most looks.
FILLING, GROWING, LOOKS = 4, 1.005, 30


class Held(NamedTuple):
    """What a server and its children hold."""

    threads: int
    handles: int
    sockets: int
    #: MB, in which what is shared counts once.
    memory: float


class Server:
    """A server that is looked at."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid
        self._client = client_of(url, {})

    async def figures(self) -> dict[str, float]:
        """Return what is counted, by its names without labels, and `ABORTED`."""
        text = (await self._client.get("/metrics")).text
        found = re.findall(r"^([\w:]+)(?:\{[^}]*\})? ([\d.e+-]+)$", text, re.M)
        figures = {name: float(value) for name, value in found}
        if aborted := re.search(r'^vllm:\w+_success_total\{.*"abort".*\} ([\d.e+-]+)$', text, re.M):
            figures[ABORTED] = float(aborted[1])
        return figures

    async def at_work(self) -> float:
        """Return how many requests are answered or wait."""
        found = await self.figures()
        return found[RUNNING] + found[WAITING]

    async def idle(self, limit: float, but: int = 0) -> float:
        """Wait until all but so many requests are gone, and return the seconds, at most `limit`."""
        began = time.perf_counter()
        while (took := time.perf_counter() - began) < limit and await self.at_work() > but:
            await asyncio.sleep(0.005)
        return took

    async def close(self) -> None:
        """Look no more."""
        await self._client.aclose()


async def fill(pid: int, ask: Callable[[str], Awaitable[object]], words: int) -> None:
    """Ask for one text after the other until the KV cache, which keeps them, takes no more."""
    before = held(pid).memory
    for look in range(LOOKS):
        for number in range(FILLING):
            with suppress(Empty):  # of the one token that is asked for there may be no letter
                await ask(f"{look} and {number}: {'all of it ' * (words // 3)}")
        now = held(pid).memory
        if now < before * GROWING:
            return
        before = now


def held(pid: int) -> Held:
    """Return what a process and its children hold."""
    threads = handles = sockets = 0
    for process in processes.tree(pid):
        with suppress(psutil.Error):
            threads += process.num_threads()
            handles += process.num_fds()
            sockets += len(process.net_connections("inet"))
    return Held(threads, handles, sockets, processes.pss(pid))
