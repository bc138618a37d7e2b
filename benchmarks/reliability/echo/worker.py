"""The process that writes; `benchmarks.reliability.echo.engine` says what, and what fails."""

import os
import signal
import socket
import sys
import time
from typing import Any, NamedTuple

from benchmarks.reliability.echo.asked import note
from chat.engines.process import Part, work

#: Seconds from one token to the next.
PACE = 0.002


class Job(NamedTuple):
    """A reply to write."""

    number: int
    ids: list[int]
    #: Seconds before its first token, and from each to the next.
    reading: float = 0.0
    pace: float = PACE
    #: What happens in its midst, and after how many tokens that is.
    fault: str = ""
    midst: int = 0


class Echo:
    """Writes all replies, a token each in a step."""

    #: Seconds that a step takes at the most.
    longest = 0.1

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._due: dict[int, float] = {}

    @property
    def busy(self) -> bool:
        """See `Batcher.busy`."""
        return bool(self._jobs)

    def take(self, message: Any) -> None:
        """See `Batcher.take`."""
        if isinstance(message, int):
            self._jobs.pop(message, None)
        else:
            job = Job(*message)
            self._jobs[job.number] = job
            self._due[job.number] = time.monotonic() + job.reading

    def step(self) -> list[Part]:
        """See `Batcher.step`."""
        parts, now = [], time.monotonic()
        for number, job in list(self._jobs.items()):
            if self._due[number] > now:
                continue
            if job.fault and not job.midst:
                fail(job.fault)
            self._due[number] = now + job.pace
            first, *rest = job.ids
            parts.append(Part(number, [first], "running" if rest else "done"))
            self._jobs[number] = job._replace(ids=rest, midst=job.midst - 1)
            if not rest:
                del self._jobs[number], self._due[number]
        if not parts:
            time.sleep(0.001)
        return parts


def fail(how: str) -> None:
    """Do to this process, or to its pipe, what was asked for."""
    note(how)
    pipe = socket.socket(fileno=int(sys.argv[1]))
    match how:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raised":
            raise RuntimeError("what a library says of what somebody wrote")
        case "cut":  # and yet it lives
            pipe.shutdown(socket.SHUT_RDWR)
            time.sleep(3600)
        case "half":
            pipe.sendall((1000).to_bytes(4, "big") + b"half a message")
            os.kill(os.getpid(), signal.SIGKILL)
        case "garbled":
            pipe.sendall((4).to_bytes(4, "big") + b"what")
            time.sleep(3600)
        case "hung":
            os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    work(lambda plan: (Echo(), "ready"))
