"""The echo at each of its doors, started anew once its processes have ended too often."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.reliability.echo.asked import NOTES
from benchmarks.reliability.echo.serving import ECHO, HAPPENED, Serving
from benchmarks.reliability.faults.doors import KEY, Backend, Door, Web
from benchmarks.reliability.faults.tried import Seen
from benchmarks.server import ROOT

#: How many engines' processes may end before all is started anew: an app gives an engine up that
#: ends more often than that, and some of them are the terminal's.
ENDINGS = 5


class Terminal:
    """`python -m chat`, whose lines come through a pipe."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, message: str, pattern: str = "") -> Seen:
        """Write a line, and read until it is answered."""
        if not self._process or self._process.returncode is not None:
            await self._start()
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        began = time.perf_counter()
        self._process.stdin.write(f"{message}\n".encode())
        lines: list[str] = []
        while read := await self._process.stdout.readline():
            line = read.decode().rstrip("\n")
            lines.append(line)
            if line.startswith("Finished: "):
                return Seen("\n".join(lines[:-1]), [], time.perf_counter() - began)
            if line.endswith(("again.", "less.")):
                break
        # What was written is offered anew where somebody can edit it, and no pipe can.
        return Seen("\n".join(lines[:-1]), lines[-1:], time.perf_counter() - began)

    async def end(self) -> None:
        """End it."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", *ECHO, "terminal"),
            cwd=ROOT,
            env={**os.environ, NOTES: str(self._notes)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self._process.stdout
        await self._process.stdout.readline()


class House:
    """A page with its API, a backend and a terminal."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._servers: list[Serving] = []
        self._notes = Path(self._folder.name, HAPPENED)
        self._terminal = Terminal(self._notes)
        self._endings = 0
        #: Seconds that a page took to be there, undisturbed but for a backend beside it.
        self.start = 0.0
        self.doors: dict[str, Door] = {}
        self.web: Web

    async def __aenter__(self) -> Self:
        """Start all of it."""
        await self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End all of it."""
        await self._end()
        self._folder.cleanup()

    async def ends_a_process(self) -> None:
        """Get ready for the end of an engine's process at some door."""
        self._endings += 1
        if self._endings > ENDINGS:
            await self.renew()
            self._endings = 1

    async def renew(self) -> None:
        """Start all of it anew, as after what nobody could mend."""
        self._endings = 0
        await self._end()
        await self._start()

    def happened(self, fault: str) -> int:
        """Return how often something did fail so far, in any of its processes."""
        return self._notes.read_text().split().count(fault) if self._notes.exists() else 0

    @property
    def output(self) -> str:
        """What its servers wrote."""
        return "".join(server.output for server in self._servers)

    async def _start(self) -> None:
        began, folder = time.monotonic(), Path(self._folder.name)
        page = Serving((*ECHO, "page"), folder, f"--api-key={KEY}")
        backend = Serving((*ECHO, "backend"), folder, f"--api-key={KEY}")
        self._servers = [page, backend]
        await asyncio.to_thread(page.wait)
        self.start = time.monotonic() - began
        await asyncio.to_thread(backend.wait)
        self.web = Web(page.url)
        doors = {**self.web.doors, **Backend(backend.url).doors}
        self.doors = {**doors, "terminal": self._terminal.ask}

    async def _end(self) -> None:
        await self._terminal.end()
        for server in self._servers:
            await asyncio.to_thread(server.end)
