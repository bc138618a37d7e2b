"""Ctrl-C, and what stops a container, where Python itself would lose them.

An interrupt is an exception in the main thread. One that falls into a callback, as there is one for
each module that is imported, is ignored there; and imports are most of a start.
"""

import signal
import sys
from threading import Timer, main_thread
from typing import Any

#: Seconds after which it comes again, when the callback is over.
PAUSE = 0.05


def keep() -> None:
    """Have an interrupt that is ignored come again, a moment later."""
    told = sys.unraisablehook

    def again(ignored: Any) -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            told(ignored)
            return
        # As a signal, which wakes a thread that waits.
        timer = Timer(PAUSE, signal.pthread_kill, [main_thread().ident, signal.SIGINT])
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again
