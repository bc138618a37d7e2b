"""Whether a server is there, asked now and then."""

import threading
import time

import httpx2

from chat.core.engine import State
from chat.engines.server.connection import Connection

#: Seconds between two questions, and for which an answer holds.
EVERY, HOLDS = 5.0, 15.0
#: What one answers that is there; with a full line it has no place for this question either.
ALIVE = (200, 429)


class Health:
    """Asks in a thread of its own, from when it is known that there is a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """It is never "failed": what is gone may come back."""
        return "ready" if time.monotonic() - self._answered < HOLDS else "loading"

    def close(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY):
            try:
                status, _ = self._connection.ask("/v1/models")
            except httpx2.TransportError:
                continue
            if status in ALIVE:
                self._answered = time.monotonic()
