"""A process that answers without a model: a stand-in for those that have one.

It counts down for everyone who asks, a number a step.
"""

import os
import signal
import struct
import sys
import threading
import time
from typing import NamedTuple

from chat.engines.process import Part, work
from chat.errors import ModelError


class Plan(NamedTuple):
    #: Why it cannot be loaded.
    refusal: str = ""
    #: Whether it ends while it loads: if there is this file.
    broken: str = ""
    #: Whether it never ends to load: if there is this file, which it takes away.
    endless: str = ""
    #: For how many seconds a step may last, as it says.
    longest: float = 0.0


class Ask(NamedTuple):
    number: int
    #: Counted down from here, to 1.
    count: int
    #: At which the process ends.
    deadly: int = 0
    #: Each step takes until there is this file.
    held: str = ""
    text: str = ""
    #: So many steps, of a tenth of a second each, bring nothing.
    silent: int = 0
    #: What it does in its next step, if anything: stop, stop in the middle of a message, or talk
    #: nonsense; if there is this file, which it takes away.
    odd: str = ""
    once: str = ""


class Counting:
    """Counts down for everyone who asks."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._left: dict[int, Ask] = {}

    @property
    def busy(self) -> bool:
        return bool(self._left)

    def take(self, message: Ask | int) -> None:
        if isinstance(message, int):
            self._left.pop(message, None)
        else:
            self._left[message.number] = message

    def step(self) -> list[Part]:
        parts = []
        for number, ask in list(self._left.items()):
            while ask.held and not os.path.exists(ask.held):
                time.sleep(0.01)
            if ask.silent:
                time.sleep(0.1)
                self._left[number] = ask._replace(silent=ask.silent - 1)
                continue
            if ask.odd and os.path.exists(ask.once):
                os.remove(ask.once)
                be_odd(ask.odd)
            if ask.count == ask.deadly:
                os._exit(3)
            self._left[number] = ask._replace(count=ask.count - 1)
            done = ask.count == 1
            if done:
                del self._left[number]
            parts.append(Part(number, [ask.count], "done" if done else "running"))
        return parts


def load(plan: Plan) -> tuple[Counting, int]:
    if plan.refusal:
        raise ModelError(plan.refusal)
    if plan.broken and os.path.exists(plan.broken):
        sys.exit(1)
    if plan.endless and os.path.exists(plan.endless):
        os.remove(plan.endless)
        threading.Event().wait()
    return Counting(plan.longest), os.getpid()


def be_odd(how: str) -> None:
    pipe = int(sys.argv[1])
    if how == "nonsense":
        os.write(pipe, struct.pack("!i", 8) + b"nonsense")
        return
    if how == "half a message":
        os.write(pipe, struct.pack("!i", 1000) + b"half")
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    work(load)
