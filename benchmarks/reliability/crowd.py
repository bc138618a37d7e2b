"""A crowd that means harm, and three people who only want an answer.

All come through a proxy on this machine that says from where (X-Forwarded-For), and the harmful
from other addresses of this machine than the people. One asks for all places again and again,
posts come a byte a second, connections are opened and left, prompts are giants, and patterns made
to be slow.
"""

import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from benchmarks.reliability.doors import Program, Refused, Reply, client_of
from benchmarks.reliability.steps import Found
from benchmarks.reliability.watch import RUNNING, WAITING, Server, held
from benchmarks.server import APP, serving

CONNECTIONS, LEAST_CONNECTIONS = 10_000, 200
#: Files that this process needs beside them.
FILES = 300
SLOW, LEAST_SLOW = 200, 20
TAKERS, GIANTS, PATTERNS = 60, 2, 4
#: How often each of the people asks, and for how many tokens.
ASKED, LEAST_ASKED, PEOPLE, TOKENS = 40, 3, 3, 24
#: Seconds in which they have to be answered.
LIMIT = 60.0
#: Addresses of the Internet, by their networks.
OF_PEOPLE, OF_CROWD = "93.184.215.{}", "185.199.108.{}"
#: Of this machine, from where the crowd connects.
HARMFUL = "127.0.0.2"
ENDLESS = 2000
#: Seconds after which who was refused tries again: the crowd is to harm by what it asks for, and
#: not by the cores that it takes from the server on the same machine.
AGAIN = 1.0


class Answered(NamedTuple):
    """When a person had the first word, and the whole reply, in seconds."""

    first: float
    whole: float


def crowd(share: float) -> Found:
    """Measure three people without the crowd, and with it."""
    with serving(APP, ["--model=embedded"], None) as server:
        # Only now, since the server is to have what its user gives it.
        connections = min(max(LEAST_CONNECTIONS, round(CONNECTIONS * share)), _files() - FILES)
        return asyncio.run(_crowd(Server(server.url, server.pid), connections, share))


def _files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + FILES if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


async def _crowd(server: Server, connections: int, share: float) -> Found:
    times = max(LEAST_ASKED, round(ASKED * share))
    broken: Counter[str] = Counter()
    quiet = await _people(server.url, times, broken)
    opened: list[asyncio.StreamWriter] = []
    harm: list[Coroutine[Any, Any, None]] = [
        *(_take(server.url) for _ in range(TAKERS)),
        *(_post_slowly(server.url, number) for number in range(max(LEAST_SLOW, int(SLOW * share)))),
        *(_send_giants(server.url) for _ in range(GIANTS)),
        *(_send_patterns(server.url, number) for number in range(PATTERNS)),
    ]
    tasks = [asyncio.create_task(one) for one in harm]
    refused = await _open(server.url, connections, opened)
    await asyncio.sleep(1)
    there = await server.figures()
    harmed = await _people(server.url, times, broken)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in opened:
        writer.close()
    left = await server.idle(LIMIT)
    await _people(server.url, 1, broken)
    await server.close()
    figures: dict[str, float | str] = {
        "connections that the crowd opens": len(opened),
        "connections that it did not get": refused,
        "of the crowd, written when the people came": there[RUNNING],
        "of the crowd, in line": there[WAITING],
        "asked by the people": PEOPLE * times,
        "answered": len(harmed),
        "first word, quiet, median and worst (s)": _spread(quiet, "first"),
        "first word, crowd, median and worst (s)": _spread(harmed, "first"),
        "whole reply, quiet, median and worst (s)": _spread(quiet, "whole"),
        "whole reply, crowd, median and worst (s)": _spread(harmed, "whole"),
        "memory afterwards (MB)": held(server.pid).memory,
    }
    if not there[RUNNING]:
        broken["The crowd did no harm."] += 1
    if left >= LIMIT:
        broken["Requests were left when the crowd had gone."] += 1
    return Found(figures, [f"{sentence} ({times} times)" for sentence, times in broken.items()])


async def _people(url: str, times: int, broken: Counter[str]) -> list[Answered]:
    """Have three people ask, and return what came; in `broken` what did not."""
    answered: list[Answered] = []

    async def ask(number: int) -> None:
        headers = {"X-Forwarded-For": OF_PEOPLE.format(10 + number)}
        program = Program(url, stream=True, headers=headers)
        for turn in range(times):
            began, reply = time.perf_counter(), Reply()
            try:
                async with asyncio.timeout(LIMIT):
                    await program.ask(f"Who are you? {number} {turn}", TOKENS, reply)
            except Refused as refused:
                broken[f"One of the people was refused: {refused}"] += 1
            except TimeoutError:
                broken[f"One of the people had no reply within {LIMIT:.0f} s."] += 1
            except httpx2.HTTPError as error:
                broken[f"One of the people could not ask: {type(error).__name__}."] += 1
            else:
                answered.append(Answered(reply.first - began, time.perf_counter() - began))
            await asyncio.sleep(0.2)
        await program.close()

    await asyncio.gather(*(ask(number) for number in range(PEOPLE)))
    return answered


def _spread(answered: list[Answered], name: str) -> str:
    seconds = [getattr(one, name) for one in answered]
    return f"{median(seconds):.2f}, {max(seconds):.2f}" if seconds else "none"


async def _again(url: str, number: int, **body: Any) -> None:
    """Ask for something without end, from one address of the crowd."""
    asked = {"messages": [{"role": "user", "content": "Tell it all."}], "stream": True, **body}
    headers = {"X-Forwarded-For": OF_CROWD.format(number)}
    async with client_of(url, headers, HARMFUL) as client:
        while True:
            with suppress(httpx2.HTTPError):
                path = "/v1/chat/completions"
                async with client.stream("POST", path, json=asked) as answer:
                    async for _ in answer.aiter_bytes():
                        pass
            await asyncio.sleep(AGAIN)


async def _take(url: str) -> None:
    await _again(url, 1, max_tokens=ENDLESS, min_tokens=ENDLESS)


async def _send_giants(url: str) -> None:
    giant = [{"role": "user", "content": "word " * 180_000}]
    await _again(url, 2, messages=giant, max_tokens=ENDLESS)


async def _send_patterns(url: str, number: int) -> None:
    patterns = (
        "(a?){2000}a{2000}",
        "((a|b)*c){400}",
        "(x+x+)+y" * 60,
        "".join(f"(w{one}|v{one}.*)" for one in range(300)),
    )
    await _again(url, 3, regex=patterns[number % len(patterns)], max_tokens=200)


async def _post_slowly(url: str, number: int) -> None:
    """Post a byte a second, and begin anew when the server has enough of it."""
    body = json.dumps({"messages": [{"role": "user", "content": "Hello" * 200}]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"X-Forwarded-For: {OF_CROWD.format(4 + number % 4)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    while True:
        with suppress(OSError):
            _, writer = await _connection(url)
            writer.write(head.encode())
            for byte in body:
                await asyncio.sleep(1)
                writer.write(bytes([byte]))
                await writer.drain()
        await asyncio.sleep(1)


async def _open(url: str, count: int, opened: list[asyncio.StreamWriter]) -> int:
    """Open so many connections and say nothing; return how many there were not."""
    failed = 0
    for _ in range(0, count, 100):
        several = (asyncio.wait_for(_connection(url), 2) for _ in range(100))
        for one in await asyncio.gather(*several, return_exceptions=True):
            if isinstance(one, BaseException):
                failed += 1
            else:
                opened.append(one[1])
        if failed > 200:  # the server takes no more
            break
    return failed


async def _connection(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port, local_addr=(HARMFUL, 0))
