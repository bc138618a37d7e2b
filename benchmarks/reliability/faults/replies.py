"""Points of failure on the way of one reply, at each door in turn."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import httpx2

from benchmarks.reliability.echo.asked import message, reply
from benchmarks.reliability.echo.engine import BLOCKED
from benchmarks.reliability.faults.doors import patiently
from benchmarks.reliability.faults.house import House
from benchmarks.reliability.faults.tried import (
    EITHER,
    GOES_ON,
    PATIENCE,
    SAID,
    SOON,
    Seen,
    Tried,
    judged,
    meant,
)
from chat.engines.watchdog import slowed

#: Tries something for the n-th time.
Try = Callable[[House, int], Awaitable[Tried]]

ALL = ("page", "API", "API, streamed", "backend", "terminal")
#: Who sends texts, and who may hold a reply to a pattern.
TEXTS, PATTERNS = ("page", "API", "API, streamed", "terminal"), ALL[:-1]


def asking(
    fault: str,
    doors: tuple[str, ...] = ALL,
    *,
    ends: bool = False,
    allowed: Collection[str] = EITHER,
) -> Try:
    """Return what asks for a fault, once, at one of these doors after the other.

    It has to happen, and what is seen of it has to be `allowed`. One that `ends` the engine's
    process may not be had too often; a backend ends with it, so that its pages ask elsewhere.
    """

    async def once(house: House, number: int) -> Tried:
        door = doors[number % len(doors)]
        if ends:
            await house.ends_a_process()
        word = f"{fault}{number}"
        if fault == "grammar":
            sent, pattern = message(word), f"[a-z]+!{fault}:{word}!"
        else:
            sent, pattern = message(word, fault), ""
        before = house.happened(fault)
        tried = judged(await patiently(house.doors[door](sent, pattern)), reply(word))
        tried = meant(tried, allowed, happened=house.happened(fault) > before)
        return await followed(house, door, tried, word)

    return once


async def followed(house: House, door: str, tried: Tried, word: str) -> Tried:
    """Return the same, and whether the next message at that door is answered exactly."""
    word = f"after{word}"
    seen = await patiently(house.doors[door](message(word), ""))
    if seen and seen.text == reply(word):
        return tried
    await house.renew()
    return tried._replace(wrong=[*tried.wrong, f"the next message was not answered ({door})"])


async def slow_reader(house: House, number: int) -> Tried:
    """Read the first event, and the others only after a while."""
    word = f"slow{number}"
    began = time.monotonic()
    seen = await patiently(house.web.streamed(message(word), pause=SOON))
    tried = judged(seen, reply(word))
    tried = meant(tried, GOES_ON, happened=time.monotonic() - began >= SOON)
    return await followed(house, "API, streamed", tried, word)


async def reader_gone(house: House, number: int) -> Tried:
    """Go after the first event of a reply that takes a while."""
    word = f"gone{number}"
    left = await house.web.leave(message(word, "slowly"))
    tried = meant(Tried(0.0, "nobody", []), ("nobody",), happened=left)
    return await followed(house, "page", tried, word)


async def blocked(house: House, number: int) -> Tried:
    """Have somebody else block the event loop in the midst of a reply."""
    door, word = TEXTS[number % 3], f"beside{number}"
    asked = asyncio.create_task(patiently(house.doors[door](message(word, "slowly"), "")))
    await asyncio.sleep(0.3)
    before, midst = house.happened("blocked"), not asked.done()
    other = await patiently(house.web.whole(message(f"block{number}", "blocked")))
    happened = midst and house.happened("blocked") > before
    tried = meant(judged(await asked, reply(word)), GOES_ON, happened=happened)
    if not other or other.text != reply(f"block{number}"):
        tried.wrong.append("who blocked it was not answered")
    if tried.seconds > slowed(BLOCKED + SOON):
        tried.wrong.append("the reply stood still for longer than the loop was blocked")
    return tried


async def wrong_key(house: House, number: int) -> Tried:
    """Open what another key has sealed; and ask with another key than the API's."""
    if number % 2:
        url = house.web.url + "/v1/chat/completions"
        asked: dict[str, object] = {"messages": [{"role": "user", "content": "Hi."}]}
    else:
        from chat.web.page.panel.seal import Seal  # which takes Gradio along

        url = house.web.url + "/gradio_api/run/saved_open"
        with tempfile.TemporaryDirectory() as folder:
            asked = {"data": [[Seal(Path(folder)).close("my diary", None)]]}
    headers = {"Authorization": "Bearer another"}
    async with httpx2.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.post(url, json=asked, headers=headers)
    said = answer.json().get("error", "")
    sentence = said["message"] if isinstance(said, dict) else said
    tried = judged(Seen("", [sentence], answer.elapsed.total_seconds()), "something")
    tried = meant(tried, SAID, happened=answer.status_code != 200)
    return await followed(house, "page", tried, f"key{number}")


POINTS: dict[str, Try] = {
    "tokenizer": asking("tokenizer", TEXTS, allowed=SAID),
    "template": asking("template", TEXTS, allowed=SAID),
    "grammar compile": asking("grammar", PATTERNS, allowed=SAID),
    "start of a reply": asking("start", allowed=SAID),
    "step k": asking("step", allowed=SAID),
    "end of a reply": asking("end"),
    "out of memory": asking("memory", allowed=SAID),
    "an error in the worker": asking("raised", TEXTS, ends=True),
    "worker killed": asking("killed", TEXTS, ends=True),
    "pipe cut": asking("cut", TEXTS, ends=True),
    "half a message in the pipe": asking("half", TEXTS, ends=True),
    "a message in the pipe that is none": asking("garbled", TEXTS, ends=True),
    "clock set back": asking("clock", allowed=GOES_ON),
    "wrong key": wrong_key,
    "slow reader": slow_reader,
    "reader gone": reader_gone,
    "event loop blocked by another": blocked,
}
