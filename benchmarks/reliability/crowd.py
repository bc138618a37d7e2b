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
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
#: Seconds in which the server ends who owes it a request's head, and such a slow body (see
#: docs/visitors.md); how much later that may be seen here; and seconds for what it takes to read,
#: or to tie.
HEAD, BODY, LATE, BOUND = 10.0, 31.0, 10.0, 60.0
#: Who is hung up on sooner has not held a connection; and the part of all that has to be held.
HELD, PART = 1.0, 0.9
#: Seconds in which people have the first word, or so many times as long as without the crowd.
WORD, TIMES = 5.0, 20
TOO_MANY = 429


class Answered(NamedTuple):
    """When a person had the first word, and the whole reply, in seconds."""

    first: float
    whole: float


@dataclass
class Spell:
    """How long somebody of the crowd was put up with."""

    began: float = field(default_factory=time.perf_counter)
    ended: float = 0.0
    #: Of the answer; 0 if there was none.
    status: int = 0

    @property
    def seconds(self) -> float:
        """Until it was ended, or now."""
        return (self.ended or time.perf_counter()) - self.began


@dataclass
class Crowd:
    """What the server did about each kind of harm."""

    silent: list[Spell] = field(default_factory=list)
    posts: list[Spell] = field(default_factory=list)
    takers: list[Spell] = field(default_factory=list)
    giants: list[Spell] = field(default_factory=list)
    patterns: list[Spell] = field(default_factory=list)


class Line(asyncio.Protocol):
    """A connection of the crowd, which ends when the server ends it."""

    def __init__(self, spell: Spell) -> None:
        self._spell = spell

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when that was."""
        self._spell.ended = time.perf_counter()


def crowd(share: float) -> Found:
    """Measure three people without the crowd, and with it."""
    # Without this only 127.0.0.1 is believed, and all of the crowd is one visitor.
    flags = ["--model=embedded", f"--trusted-proxies={HARMFUL}"]
    with serving(APP, flags, None) as server:
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
    opened: list[asyncio.Transport] = []
    url, done, slow = server.url, Crowd(), max(LEAST_SLOW, int(SLOW * share))
    harm: list[Coroutine[Any, Any, None]] = [
        *(_take(url, done.takers) for _ in range(TAKERS)),
        *(_post_slowly(url, number, done.posts) for number in range(slow)),
        *(_send_giants(url, done.giants) for _ in range(GIANTS)),
        *(_send_patterns(url, number, done.patterns) for number in range(PATTERNS)),
    ]
    tasks = [asyncio.create_task(one) for one in harm]
    refused = await _open(url, connections, opened, done.silent)
    await asyncio.sleep(HELD)
    there = await server.figures()
    silent = sum(not spell.ended for spell in done.silent)
    harmed = await _people(url, times, broken)
    await _put_up_with(done)
    off = held_off(done, connections)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for transport in opened:
        transport.close()
    left = await server.idle(LIMIT)
    await _people(server.url, 1, broken)
    await server.close()
    figures: dict[str, float | str] = {
        "connections that the crowd opens": len(opened),
        "connections that it did not get": refused,
        "of its connections, there when the people came": silent,
        "of the crowd, written when the people came": there[RUNNING],
        "of the crowd, in line": there[WAITING],
        "asked by the people": PEOPLE * times,
        "answered": len(harmed),
        "first word, quiet, median and worst (s)": _spread(quiet, "first"),
        "first word, crowd, median and worst (s)": _spread(harmed, "first"),
        "whole reply, quiet, median and worst (s)": _spread(quiet, "whole"),
        "whole reply, crowd, median and worst (s)": _spread(harmed, "whole"),
        **off.figures,
        "memory afterwards (MB)": held(server.pid).memory,
    }
    broken.update(off.broken)
    broken.update(late(quiet, harmed))
    if not there[RUNNING]:
        broken["The crowd did no harm."] += 1
    if left >= LIMIT:
        broken["Requests were left when the crowd had gone."] += 1
    return Found(figures, [f"{sentence} ({times} times)" for sentence, times in broken.items()])


def held_off(crowd: Crowd, connections: int) -> Found:
    """Say what the server did about the crowd, and what of that is too little or too late."""
    silent, posts = _held(crowd.silent), _held(crowd.posts)
    refused = sum(spell.status == TOO_MANY for spell in crowd.takers)
    asked = {"giants": crowd.giants, "patterns": crowd.patterns}
    broken = [
        (
            len(silent) < PART * connections,
            f"The crowd held only {len(silent)} of {connections} connections.",
        ),
        (_longest(silent) > HEAD + LATE, f"Silence was put up with for {_longest(silent):.0f} s."),
        (not posts, "No slow post was begun."),
        (_longest(posts) > BODY + LATE, f"A post went on for {_longest(posts):.0f} s."),
        (not refused, "Nobody who asked for all places was refused any."),
    ]
    for name, spells in asked.items():
        # Who had asked for too much already was not listened to.
        heard = any(spell.status not in (0, TOO_MANY) for spell in spells)
        broken += [
            (not heard, f"Nobody heard what was asked by {name}."),
            (any(spell.status == 500 for spell in spells), f"The server failed at {name}."),
            (_longest(spells) > BOUND, f"One of the {name} went on for {_longest(spells):.0f} s."),
        ]
    figures: dict[str, float | str] = {
        "silent connections, longest (s)": _longest(silent),
        "slow posts, and the longest (s)": f"{len(posts)}, {_longest(posts):.1f}",
        "of those who ask for all places, refused": refused,
        **{f"{name}, by status, and the longest (s)": _told(each) for name, each in asked.items()},
    }
    return Found(figures, [sentence for wrong, sentence in broken if wrong])


def late(quiet: Sequence[Answered], harmed: Sequence[Answered]) -> list[str]:
    """Return what is to be said of people who had to wait too long for the first word."""
    usual, worst = (max((one.first for one in each), default=0.0) for each in (quiet, harmed))
    if worst <= max(WORD, TIMES * usual):
        return []
    return [f"One of the people had the first word after {worst:.1f} s, not {usual:.1f} s."]


def _held(spells: Sequence[Spell]) -> list[Spell]:
    return [spell for spell in spells if spell.seconds >= HELD]


def _longest(spells: Sequence[Spell]) -> float:
    return max((spell.seconds for spell in spells), default=0.0)


def _told(spells: Sequence[Spell]) -> str:
    statuses = Counter(spell.status for spell in spells if spell.status)
    told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))
    return f"{told or 'none'}; {_longest(spells):.1f}"


async def _put_up_with(crowd: Crowd) -> None:
    """Wait until the server has ended who is connected now, or should have."""
    there = [spell for spell in (*crowd.silent, *crowd.posts) if not spell.ended]
    ends = time.perf_counter() + BODY + LATE
    while not all(spell.ended for spell in there) and time.perf_counter() < ends:
        await asyncio.sleep(0.2)


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


async def _again(url: str, number: int, spells: list[Spell], **body: Any) -> None:
    """Ask for something without end, from one address of the crowd."""
    asked = {"messages": [{"role": "user", "content": "Tell it all."}], "stream": True, **body}
    headers = {"X-Forwarded-For": OF_CROWD.format(number)}
    async with client_of(url, headers, HARMFUL) as client:
        while True:
            spells.append(spell := Spell())
            with suppress(httpx2.HTTPError):
                path = "/v1/chat/completions"
                async with client.stream("POST", path, json=asked) as answer:
                    spell.status = answer.status_code
                    async for _ in answer.aiter_bytes():
                        pass
            spell.ended = time.perf_counter()
            await asyncio.sleep(AGAIN)


async def _take(url: str, spells: list[Spell]) -> None:
    await _again(url, 1, spells, max_tokens=ENDLESS, min_tokens=ENDLESS)


async def _send_giants(url: str, spells: list[Spell]) -> None:
    giant = [{"role": "user", "content": "word " * 180_000}]
    await _again(url, 2, spells, messages=giant, max_tokens=ENDLESS)


async def _send_patterns(url: str, number: int, spells: list[Spell]) -> None:
    patterns = (
        "(a?){2000}a{2000}",
        "((a|b)*c){400}",
        "(x+x+)+y" * 60,
        "".join(f"(w{one}|v{one}.*)" for one in range(300)),
    )
    await _again(url, 3, spells, regex=patterns[number % len(patterns)], max_tokens=200)


async def _post_slowly(url: str, number: int, spells: list[Spell]) -> None:
    """Post a byte a second, and begin anew when the server has enough of it."""
    body = json.dumps({"messages": [{"role": "user", "content": "Hello" * 200}]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"X-Forwarded-For: {OF_CROWD.format(4 + number % 4)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    while True:
        with suppress(OSError):
            transport = await _connection(url, spell := Spell())
            spells.append(spell)
            try:
                transport.write(head.encode())
                for byte in body:
                    await asyncio.sleep(1)
                    if spell.ended:
                        break
                    transport.write(bytes([byte]))
            finally:
                transport.close()
        await asyncio.sleep(1)


async def _open(url: str, count: int, opened: list[asyncio.Transport], spells: list[Spell]) -> int:
    """Open so many connections and say nothing; return how many there were not."""
    failed = 0
    for _ in range(0, count, 100):
        began = [Spell() for _ in range(100)]
        several = (asyncio.wait_for(_connection(url, spell), 2) for spell in began)
        came = await asyncio.gather(*several, return_exceptions=True)
        for spell, one in zip(began, came, strict=True):
            if isinstance(one, BaseException):
                failed += 1
            else:
                opened.append(one)
                spells.append(spell)
        if failed > 200:  # the server takes no more
            break
    return failed


async def _connection(url: str, spell: Spell) -> asyncio.Transport:
    address, loop = urlsplit(url), asyncio.get_running_loop()
    host, port = str(address.hostname), int(address.port or 80)
    transport, _ = await loop.create_connection(
        lambda: Line(spell), host, port, local_addr=(HARMFUL, 0)
    )
    return transport
