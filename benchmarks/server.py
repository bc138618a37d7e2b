"""A page's server as a user starts it, from its first moment to its last."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks import processes

ROOT = Path(__file__).parent.parent
APP = ("app.py",)
BASELINE = ("-m", "benchmarks.baseline")


@dataclass
class Server:
    """A server that is ready."""

    url: str
    pid: int
    #: The time of `time.perf_counter` at which it was started.
    began: float
    #: Seconds from the start until the page was there.
    page: float


@contextmanager
def serving(
    program: Sequence[str], flags: Sequence[str], port: int | None, path: str = ""
) -> Iterator[Server]:
    """Start a program that serves something at `path`, and end it with all its processes.

    Raises:
        RuntimeError: it ended before it served.
    """
    command = [sys.executable, *program, *flags, "--server-port", str(port or free_port())]
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            url = _address(process)
            with urlopen(url + path) as page:
                page.read()
            yield Server(url, process.pid, began, time.perf_counter() - began)
        finally:
            processes.end(process.pid)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _address(process: subprocess.Popen[str]) -> str:
    """Wait until the program prints that its page is there; what it prints later is dropped."""
    assert process.stdout
    printed: deque[str] = deque(maxlen=20)
    for line in process.stdout:
        printed.append(line)
        if found := re.search(r"Running on local URL: +(http://[\w.]+:\d+)", line):
            threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            return found[1]
    raise RuntimeError("The server did not start:\n" + "".join(printed))
