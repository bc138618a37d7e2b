"""The end of a server that others can do without: SIGTERM.

Nothing new is begun from then on, so that whoever balances sends people elsewhere; what is being
written ends, who is on the way to the line hears of it, and then the server ends. With nobody
there, nor answered a moment ago, it ends at once, and so it does when it is told once more.
"""

import signal
import time
from _thread import interrupt_main
from collections.abc import Callable
from threading import Thread

from chat.core.gate import Gate

#: Seconds that a page is left after a reply, to fetch and to save what it was sent.
CALM = 1.0


class Drain:
    """Takes SIGTERM, for the main thread, which a KeyboardInterrupt then ends.

    That comes once all replies have ended, or after so many `seconds`; `hurry` is called
    before it.
    """

    def __init__(self, gate: Gate, seconds: float, hurry: Callable[[], None]) -> None:
        self._gate = gate
        self._seconds = seconds
        self._hurry = hurry
        signal.signal(signal.SIGTERM, self._told)

    def _told(self, *_: object) -> None:
        idle = not self._gate.busy and time.monotonic() > self._gate.left + CALM
        if self._gate.shut or idle:
            self._hurry()  # a page that is only open would be waited for
            raise KeyboardInterrupt
        self._gate.shut = True
        Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        until = time.monotonic() + self._seconds
        while self._gate.busy and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(min(CALM, max(0.0, until - time.monotonic())))
        interrupt_main(signal.SIGTERM)  # for the second time
