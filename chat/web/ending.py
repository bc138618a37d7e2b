"""A process that ends with its engine, with a status of its own: others can start it again.

What has failed for good, such as a GPU that is lost, is often well again in a new process; so
Docker's restart policy, systemd or Ray does better than a server that only says so.

An engine whose process has ended starts another one, and its replies wait until that has loaded
the model. Where there are more servers they need not: whoever asked hears at once that a stream
has broken off, and has another server go on.
"""

import atexit
import logging
import os
import sys
import time
from threading import Thread

from chat.core.engine import Engine
from chat.core.gate import Gate

#: Seconds between two looks, and for which the engine may be asked to leave nothing behind.
PAUSE, PATIENCE = 0.05, 1.0
#: Seconds in which everyone is told what has become of their reply, and then fetches it.
FAREWELL, CALM = 5.0, 1.0

log = logging.getLogger(__name__)


def end_with(engine: Engine, gate: Gate | None = None) -> None:
    """End this process, with the status `os.EX_SOFTWARE`, when its engine does.

    That is as soon as `engine` is not ready; but if there is the `gate` to it at which people
    wait, it is when it has failed, and they have been told.
    """
    Thread(target=_watch, args=[engine, gate], name="ending", daemon=True).start()


def end_now() -> None:
    """End this process as it was told to, without waiting for threads that work for nobody.

    Python would let a file be read to its end, or a grammar be tried, for a minute.
    """
    atexit._run_exitfuncs()  # what is to be done at an end: spans are sent, logs are written
    sys.stdout.flush()
    os._exit(os.EX_OK)


def _watch(engine: Engine, gate: Gate | None) -> None:
    while engine.state == "ready" or (gate and engine.state == "loading"):
        time.sleep(PAUSE)
    log.error("The engine has ended, and so does this server.")
    # What it has begun to load would else load to the end.
    closing = Thread(target=engine.close, daemon=True)
    closing.start()
    if gate:
        until = time.monotonic() + FAREWELL
        while gate.busy and time.monotonic() < until:
            time.sleep(PAUSE)
        time.sleep(CALM)
    closing.join(PATIENCE)
    os._exit(os.EX_SOFTWARE)
