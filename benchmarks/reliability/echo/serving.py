"""That app as a server, in a process of its own, and what it wrote to its output."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

from benchmarks import processes
from benchmarks.reliability.echo.asked import NOTES
from benchmarks.server import ROOT, free_port

#: Seconds in which a server is there.
START = 120.0
ECHO = ("-m", "benchmarks.reliability.echo.app")
#: What is beside its output: notes of what did fail.
HAPPENED = "happened.txt"


class Serving:
    """A server that was started, and may have ended since."""

    def __init__(self, program: Sequence[str], folder: Path, *flags: str) -> None:
        #: What it serves.
        self.door = program[-1]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = folder / f"{self.port}.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", *program, f"--server-port={self.port}", *flags],
                cwd=ROOT,
                env={
                    **os.environ,
                    "XDG_DATA_HOME": str(folder),
                    "OMP_NUM_THREADS": "1",
                    NOTES: str(folder / HAPPENED),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """All that it wrote so far."""
        return self._output.read_text(errors="replace")

    def wait(self) -> None:
        """Wait until it is ready.

        Raises:
            RuntimeError: it ended before, or was not in time.
        """
        until = time.monotonic() + START
        while self.process.poll() is None and time.monotonic() < until:
            with suppress(OSError), urlopen(f"{self.url}/health", timeout=START) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"The server did not start:\n{self.output}")

    def end(self) -> None:
        """End it with all its processes."""
        processes.end(self.process.pid)
        self.process.wait()


@contextmanager
def serving(door: Literal["page", "backend"], *flags: str) -> Iterator[Serving]:
    """Serve the echo at one of its doors until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        server = Serving((*ECHO, door), Path(folder), *flags)
        try:
            server.wait()
            yield server
        finally:
            server.end()
