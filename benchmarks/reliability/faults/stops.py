"""SIGTERM in each phase of a page's life."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.reliability.echo.asked import message, reply
from benchmarks.reliability.echo.serving import ECHO, Serving
from benchmarks.reliability.faults.doors import Web, patiently
from benchmarks.reliability.faults.tried import NEVER, PATIENCE, SOON, UNFIT, Tried, judged
from benchmarks.reliability.watch import Server
from benchmarks.server import APP
from chat.engines.watchdog import slowed

PHASES = ("starting", "idle", "reading", "writing", "draining")
#: What a message asks for, so that its reply is still in that phase.
ASKED = {"reading": "reading", "writing": "slower", "draining": "slower"}
#: Seconds for which a page is left alone after its last reply. It then ends in no more than it
#: took to start, however slow the machine is.
CALM = 1.0


async def stop(phase: str, number: int) -> Tried:
    """Start a page, and stop it in this phase."""
    with tempfile.TemporaryDirectory() as folder:
        program = APP if phase == "starting" else (*ECHO, "page")
        server = Serving(program, Path(folder), "--model=embedded", "--drain-seconds=8")
        try:
            if phase == "starting":
                return await asyncio.to_thread(_started, server)
            began = time.monotonic()
            await asyncio.to_thread(server.wait)
            start = time.monotonic() - began
            if phase == "idle":
                server.process.send_signal(signal.SIGTERM)
                return await asyncio.to_thread(_ended, server, Tried(0, "an end", []), start)
            return await _replying(server, phase, f"{phase}{number}", start)
        finally:
            server.end()


def _started(server: Serving) -> Tried:
    while "starting" not in server.output and server.process.poll() is None:
        time.sleep(0.01)
    there = server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    return _ended(server, Tried(0, "an end", [] if there else [NEVER]), 0.0)


async def _replying(server: Serving, phase: str, word: str, start: float) -> Tried:
    """Stop it while it reads or writes: that reply goes on, and no other one begins."""
    web = Web(server.url)
    asked = asyncio.create_task(patiently(web.page(message(word, ASKED[phase]))))
    await _at_work(server)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    late = await patiently(web.whole(message("late")))
    refused = judged(late, reply("late"))
    if phase == "draining":
        server.process.send_signal(signal.SIGTERM)
        asked.cancel()  # who tells it twice wants no more replies
        tried = refused
    else:
        tried = judged(await asked, reply(word))
        if tried.seen != "the whole reply":
            tried.wrong.append("the reply was cut off")
    if refused.seen != "a sentence":
        tried.wrong.append("another reply was begun, or refused without a sentence")
    return await asyncio.to_thread(_ended, server, tried, start)


async def _at_work(server: Serving) -> None:
    looked_at = Server(server.url, server.process.pid)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await looked_at.at_work():
                await asyncio.sleep(0.01)
    finally:
        await looked_at.close()


def _ended(server: Serving, tried: Tried, start: float) -> Tried:
    """Wait until it has ended, and return the same with how long that took from now."""
    told = time.monotonic()
    while server.process.poll() is None and time.monotonic() - told < PATIENCE:
        time.sleep(0.01)
    seconds = time.monotonic() - told
    wrong = list(tried.wrong)
    if server.process.poll() is None:
        wrong.append("it did not end")
    elif seconds > slowed(SOON) + CALM + start:
        wrong.append("it ended late")
    if UNFIT.search(server.output):
        wrong.append("a traceback in the output")
    return Tried(max(tried.seconds, seconds), tried.seen, wrong)
