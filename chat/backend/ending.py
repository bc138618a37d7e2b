"""A process that ends when its engine has.

An engine whose process has ended starts another one, and its replies wait until that has loaded
the model. Where there are more servers they need not: whoever asked hears at once that a stream
has broken off, and has another server go on, and whoever supervises this one starts it again.
"""

import logging
import os
import time
from threading import Thread

from chat.core.engine import Engine

#: Seconds between two looks, and for which the engine may be asked to leave nothing behind.
PAUSE, PATIENCE = 0.05, 1.0

log = logging.getLogger(__name__)


def end_with(engine: Engine) -> None:
    """End this process, with the status `os.EX_SOFTWARE`, as soon as `engine` is not ready."""
    Thread(target=_watch, args=[engine], name="ending", daemon=True).start()


def _watch(engine: Engine) -> None:
    while engine.state == "ready":
        time.sleep(PAUSE)
    log.error("The engine has ended, and so does this server.")
    # What it has begun to load would else load to the end.
    closing = Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(PATIENCE)
    os._exit(os.EX_SOFTWARE)
