"""What notices that an engine goes on no more: it has not failed, and never ends."""

import os
import time
from collections.abc import Callable
from threading import Event, Thread, current_thread

#: Seconds between two looks.
PAUSE = 0.25
#: How many times as long as it ever took an engine may take for a step.
FACTOR = 5
#: Seconds that it may take in any case, unless somebody says otherwise.
LEAST = 10.0


def slowed(seconds: float) -> float:
    """Return how long may last here now what lasts so many seconds on a quiet machine.

    Where more wait for the cores than there are, each has its turn so much later.
    """
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Watchdog:
    """Calls `hung` with the seconds for which there was no `beat`, once, if they are too many.

    `patience` says how many may pass now, 0 while there is nothing to do. `FACTOR` times as
    many as ever passed between two beats may pass too.
    """

    def __init__(self, patience: Callable[[], float], hung: Callable[[float], None]) -> None:
        self._patience = patience
        self._hung = hung
        self._beats = 0
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Say that a step has ended (one thread alone)."""
        self._beats += 1

    def close(self) -> None:
        """End it; afterwards it calls nothing."""
        self._ended.set()
        if current_thread() is not self._thread:
            self._thread.join()

    def _watch(self) -> None:
        beats, quiet, longest, last = self._beats, 0.0, 0.0, time.monotonic()
        while not self._ended.wait(PAUSE):
            now = time.monotonic()
            # No more, for it may be this process that stood still meanwhile.
            passed, last = min(now - last, 2 * PAUSE), now
            patience = self._patience()
            if beats != self._beats:
                beats, longest, quiet = self._beats, max(longest, quiet), 0.0
            elif not patience:
                quiet = 0.0
            else:
                quiet += passed
                if quiet > max(patience, FACTOR * longest):
                    self._hung(quiet)
                    return
