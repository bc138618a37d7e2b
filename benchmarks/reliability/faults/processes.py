"""A real engine's process, stopped in the midst of a reply: OpenVINO's."""

import asyncio
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.reliability.echo.serving import Serving
from benchmarks.reliability.faults.doors import Web, patiently
from benchmarks.reliability.faults.tried import EITHER, PATIENCE, Seen, Tried, judged, meant
from benchmarks.reliability.watch import TOKENS, Server
from benchmarks.server import APP, ROOT

#: Seconds after which the watchdog is to take it for hung.
WATCHDOG = 2
#: And in which all has to be well again: a step may last as long as one with a long prompt does,
#: before the watchdog takes it for hung, and then the model is loaded anew.
WELL = 60.0
#: How many are stopped of one server, which gives up an engine that ends more often than that.
OF_ONE = 4
#: How many tokens are written when it is stopped.
WRITTEN = 8
QUESTION = "Tell me a long story about a ship."


async def hung(times: int) -> list[Tried]:
    """Stop the process that many times; the reply goes on in the next one, or a sentence comes."""
    helps = [sys.executable, *APP, "--help"]
    told = await asyncio.to_thread(
        subprocess.run, helps, cwd=ROOT, capture_output=True, text=True, check=True
    )
    if not re.search(r"--watchdog\b", told.stdout):
        return [Tried(0.0, "nothing", ["there is no --watchdog"])]
    tries: list[Tried] = []
    while len(tries) < times:
        tries += await _of_one(min(OF_ONE, times - len(tries)))
    return tries


async def _of_one(times: int) -> list[Tried]:
    flags = "--model=embedded", "--engine=openvino", f"--watchdog={WATCHDOG}", "--temperature=0"
    with tempfile.TemporaryDirectory() as folder:
        server = Serving(APP, Path(folder), *flags, "--max-new-tokens=100")
        try:
            await asyncio.to_thread(server.wait)
            web = Web(server.url)
            whole = (await web.whole(QUESTION)).text
            return [await _stopped(server, web, whole) for _ in range(times)]
        finally:
            server.end()


async def _stopped(server: Serving, web: Web, whole: str) -> Tried:
    looked_at = Server(server.url, server.process.pid)
    asked = asyncio.create_task(patiently(web.page(QUESTION), WELL))
    happened = await _stop_in_midst(looked_at, asked)
    await looked_at.close()
    seen = await asked
    # Where two words are all but equally likely, what is read again may go on with the other one.
    went_on = seen and len(seen.text) > len(whole) / 2 and not seen.sentences
    tried = judged(seen._replace(text=whole) if seen and went_on else seen, whole)
    tried = meant(tried, EITHER, happened=happened)
    after = await patiently(web.whole("Say yes."))
    if not isinstance(after, Seen) or not after.text:
        tried.wrong.append("the next message was not answered")
    return tried


async def _stop_in_midst(server: Server, asked: asyncio.Task[Seen | None]) -> bool:
    """Stop the engine's process once the reply has begun; return whether that was in its midst."""
    before = (await server.figures())[TOKENS]
    ends = time.monotonic() + PATIENCE
    while (await server.figures())[TOKENS] - before < WRITTEN:
        if asked.done() or time.monotonic() > ends:
            return False
        await asyncio.sleep(0.005)
    stopped = _stop(server.pid)
    await asyncio.sleep(0.1)  # in which what was written before would have come
    return stopped and await server.at_work() > 0 and not asked.done()


def _stop(pid: int) -> bool:
    """Stop the engines' processes of a server, and return whether there was one."""
    engines = [
        process
        for process in psutil.Process(pid).children()
        if any("chat.engines.openvino.batcher" in word for word in process.cmdline())
    ]
    for process in engines:
        process.send_signal(signal.SIGSTOP)
    return bool(engines)
