"""Guessing passwords and keys gets slower.

After a few wrong ones from one address, or for one name, the next has to wait, for twice as long
each time. The right one has to wait as well: else the answer would tell it.

Source: OWASP's cheat sheet on authentication.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from starlette.exceptions import HTTPException

#: How many addresses and names are remembered.
MOST = 10_000
#: Seconds after which wrong ones are forgotten.
FORGET = 3600.0


class Pace(NamedTuple):
    """How many wrong ones are free, and the longest wait after those, in seconds."""

    free: int
    longest: float


class Wrong(NamedTuple):
    """How many there were, the last of them when, and until when the next has to wait."""

    times: int
    last: float
    until: float


class Guesses:
    """Counts wrong passwords, or keys, by where they come from and whose they were to be."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, Wrong] = OrderedDict()

    def check(self, paces: Mapping[str, Pace], what: str) -> None:
        """Raise HTTPException if there were too many wrong ones, and whoever asks has to wait."""
        now = time.monotonic()
        waits = [self._wrong[key].until - now for key in paces if key in self._wrong]
        seconds = ceil(max(waits, default=0.0))
        if seconds > 0:
            raise HTTPException(
                429,
                f"There were too many wrong {what}. Please try again in "
                f"{seconds} {'second' if seconds == 1 else 'seconds'}.",
                {"Retry-After": str(seconds)},
            )

    def note(self, paces: Mapping[str, Pace]) -> None:
        """Note a wrong one."""
        now = time.monotonic()
        for key, pace in paces.items():
            before = self._wrong.pop(key, Wrong(0, now, now))
            times = 1 + (before.times if now < before.last + FORGET else 0)
            over = times - pace.free
            wait = min(2.0 ** min(over, 30), pace.longest) if over >= 0 else 0.0
            self._wrong[key] = Wrong(times, now, now + wait)
        while len(self._wrong) > MOST:
            self._wrong.popitem(last=False)

    def forget(self, key: str) -> None:
        """Forget the wrong ones of before."""
        self._wrong.pop(key, None)
