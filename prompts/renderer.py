"""Chat templates, rendered in a process of its own: they come with a model, from anyone.

A few letters of Jinja loop without end, or make a text of gigabytes, within a single call that
nothing in this process could end. That process can be ended, and its memory has a limit.
"""

import atexit
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import DEVNULL, Popen
from threading import Lock
from typing import Any

from jinja2 import Template

from prompts import jinja
from prompts.base import PromptError

#: What rendering one prompt may take: seconds of CPU time, and as many on a busy machine.
SECONDS, PATIENCE = 3.0, 30.0
#: Bytes that the process may take, all templates together.
MEMORY = 1_000_000_000
#: More characters than this are no prompt.
LARGEST = 32_000_000
#: All that the process gets of the environment, in which there are secrets.
KNOWN = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ")


class Refused(Exception):
    """The template failed, or refused the conversation; the text is its reason."""


class TooMuch(PromptError):
    """It took more time or memory than it may."""

    def __init__(self) -> None:
        super().__init__("This model's chat template takes too much time or memory.")


class Renderer:
    """A chat template.

    Raises:
        PromptError: it has a fault in its syntax, says which, and in what line; or it takes too
            much to be read.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        try:
            known = _process.ask(source)
        except Refused as error:
            raise PromptError(str(error)) from None
        #: The names that it has for what it is given.
        self.names = frozenset(json.loads(known))
        self._trying = self._failed = False
        self._took = 0.0

    def render(self, values: Mapping[str, Any]) -> str:
        """Return what it makes of these values, in which texts may be tainted.

        Raises:
            Refused: it failed.
            TooMuch: it would take too much.
        """
        if self._trying and self._failed:
            raise TooMuch
        begun = time.monotonic()
        try:
            return _process.ask(self._source, values)
        except TooMuch:
            self._failed = True
            raise
        finally:
            self._took += time.monotonic() - begun
            self._failed |= self._took > PATIENCE

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Give up at the first prompt that takes too much, whoever handles that, and raise it.

        All of them together may take as long as one may on a busy machine.
        """
        self._trying, self._failed, self._took = True, False, 0.0
        try:
            yield
        finally:
            self._trying = False
        if self._failed:
            raise TooMuch


@lru_cache(maxsize=16)
def renderer(source: str) -> Renderer:
    """Return the chat template `source`; raises what `Renderer` does."""
    return Renderer(source)


class _Process:
    """What renders for this process, one prompt after another; it is started when it is needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Leave it to whom it belongs, as a fork does."""
        self._lock = Lock()
        self._process: Popen[bytes] | None = None
        self._connection: Connection | None = None
        #: What it has read.
        self._sources: dict[str, int] = {}

    def ask(self, source: str, values: Mapping[str, Any] | None = None) -> str:
        """Return the names in a template as JSON, or with values what it makes of them."""
        with self._lock:
            if self._process and self._process.poll() is not None:
                self.end()  # by somebody else, and this one has nothing to do with it
            try:
                connection = self._connection or self._start()
                if source not in self._sources:
                    names = _answer(connection, source)
                    self._sources[source] = len(self._sources)
                    if values is None:
                        return names
                return _answer(connection, (self._sources[source], values))
            except (EOFError, OSError):
                self.end()
                raise TooMuch from None

    def end(self) -> None:
        """End it; the next question starts another."""
        if self._connection:
            self._connection.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None
        self._sources = {}

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            self._process = Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(SECONDS)],
                env={
                    **{name: os.environ[name] for name in KNOWN if name in os.environ},
                    "PYTHONPATH": os.pathsep.join(one or os.getcwd() for one in sys.path),
                },
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                start_new_session=True,
            )
        with socket.socket(fileno=os.dup(ours.fileno())) as pipe:  # of one that is stopped
            for end in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                pipe.setsockopt(socket.SOL_SOCKET, end, struct.pack("ll", int(PATIENCE), 0))
        self._connection = ours
        return ours


def _answer(connection: Connection, question: Any) -> str:
    connection.send(question)
    if not connection.poll(PATIENCE):
        raise EOFError
    answer = connection.recv_bytes()  # which is no pickle: those can run code
    text = answer[1:].decode("utf-8", "surrogatepass")
    if answer[:1] == b"!":
        raise TooMuch
    if answer[:1] != b"+":
        raise Refused(text)
    return text


_process = _Process()


def end() -> None:
    """End the process; the next prompt starts another."""
    _process.end()


atexit.register(end)
os.register_at_fork(after_in_child=_process.forget)


def main(connection: Connection, seconds: float) -> None:
    """Answer until the pipe is closed, each time within so many seconds of CPU time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    limits = ((resource.RLIMIT_AS, most), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0))
    for what, limit in limits:
        resource.setrlimit(what, (limit, limit))
    read: list[tuple[str, Template]] = []
    while True:
        question = connection.recv()
        signal.setitimer(signal.ITIMER_PROF, seconds)  # which ends the process
        try:
            if isinstance(question, str):
                template = jinja.compiled(question)
                answer = json.dumps(sorted(jinja.names(question)))
                read.append((answer, template))
            else:
                number, values = question
                answer = read[number][0] if values is None else read[number][1].render(values)
            if len(answer) > LARGEST:
                raise MemoryError
            said = b"+" + str.__str__(answer).encode("utf-8", "surrogatepass")
        except MemoryError:
            said = b"!"
        except Exception as error:  # of a template that anyone may have written
            reason = str(error) if isinstance(error, PromptError) else jinja.reason(error)
            said = b"-" + reason.encode("utf-8", "surrogatepass")
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(said)


if __name__ == "__main__":
    # systemd sends it to all of a service, of which the first process lets replies end first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        main(Connection(int(sys.argv[1])), float(sys.argv[2]))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit()  # who asks is gone
